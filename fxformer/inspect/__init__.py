"""Inspection of trained models: attention weights and predictions for a text."""
