"""Softmax and sigmoid on numpy arrays, in float64."""

import numpy as np
from jaxtyping import Float


def softmax(logits: Float[np.ndarray, "*B C"]) -> Float[np.ndarray, "*B C"]:
    """exp(x) / sum exp(x) over the last axis; -inf gives 0."""
    x = np.asarray(logits, np.float64)
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def sigmoid(logits: Float[np.ndarray, "*B"]) -> Float[np.ndarray, "*B"]:
    """1 / (1 + exp(-x)), without overflow."""
    x = np.asarray(logits, np.float64)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))
