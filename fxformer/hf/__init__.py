"""Weights, configs and tokenizers of Hugging Face checkpoints, both ways."""
