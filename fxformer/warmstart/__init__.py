"""Initialising a model from existing weights: runs, published models, pairs, layer subsets."""
