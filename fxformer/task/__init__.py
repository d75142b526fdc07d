"""Labelled tasks: how rows are read, what a head answers, its loss and its metrics."""
