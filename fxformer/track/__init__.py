"""Runs: the folder that is the truth, the trackers that mirror it, and what a terminal shows."""
