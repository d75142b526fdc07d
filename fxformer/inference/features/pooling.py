"""Pooling of hidden states: one vector for a text from those of its tokens."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Pooling = Literal["mean", "first", "last", "max"]
POOLINGS: tuple[Pooling, ...] = ("mean", "first", "last", "max")


def pooled(states: Float[np.ndarray, "*L T D"], pooling: Pooling) -> Float[np.ndarray, "*L D"]:
    """The mean or maximum over the tokens of a text, or the state of its first or last token.

    states: of the text alone, without padding; special tokens count
    """
    if pooling == "first":
        return states[..., 0, :]
    if pooling == "last":
        return states[..., -1, :]
    return states.mean(axis=-2) if pooling == "mean" else states.max(axis=-2)


def default_pooling(model: Any) -> Pooling:
    """The pooling of the classification head of a model's family (`model.sequence_head.pooling`).

    The encoder of an encoder-decoder has no such head: mean, as is usual for T5's (Ni et al. 2022).
    """
    if model.architecture == "seq2seq":
        return "mean"
    head = (model.config.get("model") or {}).get("sequence_head") or {}
    found = head.get("pooling")
    return found if found in POOLINGS else "mean"
