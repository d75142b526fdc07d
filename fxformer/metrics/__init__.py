"""Metrics of labelled tasks: statistics of examples, aggregation, direction, signature."""
