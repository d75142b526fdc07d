"""Reproducible claims: studies of arms and seeds with controls, their analyses and verdicts."""
