"""Maskings: which tokens of a text are selected, to be predicted or taken out; and replacements."""
