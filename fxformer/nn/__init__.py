"""The parts a model is made of: one idea a file."""
