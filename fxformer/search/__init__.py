"""Hyperparameter search: samplers, pruners, launchers, workers and reports of studies."""
