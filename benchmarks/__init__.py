"""Measurements beside peers and of our own parts; `python -m benchmarks` lists them."""
