"""Objectives: what is asked of a model, how its input is spoilt, and how its answer is scored."""
