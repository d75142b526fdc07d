"""`fxformer audit`: an objective measured against its own check."""
