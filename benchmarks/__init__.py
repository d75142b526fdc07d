"""A training step measured beside its peers; `python -m benchmarks` runs it all."""
