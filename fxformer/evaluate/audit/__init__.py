"""`fxformer audit`: statistical checks of what an objective does to its examples."""
