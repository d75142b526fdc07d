"""What a trained model looks at and what it answers, for a few texts, at any of its checkpoints."""
