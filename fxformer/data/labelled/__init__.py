"""Labelled data: files and datasets read into rows by role, their splits and label sets."""
