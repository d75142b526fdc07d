"""Evaluation of trained models and of objectives: comparisons, and audits of corruption."""
