"""Suites of labelled tasks: definition, results of a search over tasks and seeds, table, page."""
