"""Pretraining objectives: how a batch is corrupted, and the loss of a model on it."""
