"""Pipelines: a task, a model and texts in; answers as plain values out. One file per task."""
