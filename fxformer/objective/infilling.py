"""A text with a hole, and how an objective asks its own model for what stood there.

Losses of different objectives are answers to different questions. A hole is one question that many
of them can put in their own manner, so that the answers can be compared: -log p(hole | what the
model may read), in nats.
"""

import dataclasses
from collections.abc import Sequence
from typing import cast

import numpy as np

from fxformer.batch import Batch, Vocabulary


@dataclasses.dataclass(frozen=True)
class Hole:
    """left, middle, right: [n] int32 ids; what the tokenizer puts around a text is part of left and
    right. The middle is what is asked for; left has at least one token."""

    left: np.ndarray
    middle: np.ndarray
    right: np.ndarray

    @property
    def text(self) -> np.ndarray:
        """The whole. [n] int32."""
        return np.concatenate([self.left, self.middle, self.right])

    def closed(self, vocabulary: Vocabulary) -> bool:
        """Whether no ordinary token comes after the hole."""
        return bool(vocabulary.special[self.right].all())

    def singles(self) -> list["Hole"]:
        """One hole for each token of the middle, all others standing: what a pseudo-likelihood
        asks (Salazar et al. 2020)."""
        text, first = self.text, len(self.left)
        places = range(first, first + len(self.middle))
        return [Hole(text[:i], text[i : i + 1], text[i + 1 :]) for i in places]


@dataclasses.dataclass(frozen=True)
class Question:
    """One row for a model, and where it answers.

    tokens: [t] int32, what the (only, or decoder) stack reads
    targets: [t] int32, the right ids
    scored: [k] int64, places in `targets` that belong to the hole
    source: [s] int32, what an encoder reads beside it
    prefix: how many first tokens a causal stack reads in both directions
    """

    tokens: np.ndarray
    targets: np.ndarray
    scored: np.ndarray
    source: np.ndarray | None = None
    prefix: int = 0


def shifted(target: np.ndarray, start: int) -> np.ndarray:
    """What a decoder reads to write `target` [t]: the start token, then all but the last."""
    return np.concatenate([[start], target[:-1]]).astype(np.int32)


def asked(questions: Sequence[Question], pad: int, *, round_to: int = 32) -> Batch:
    """Questions as one batch, a row each; lengths rounded up, so that few shapes are compiled."""

    def width(sizes: list[int], step: int) -> int:
        return -(-max(sizes) // step) * step

    long = width([len(q.tokens) for q in questions], round_to)
    most = width([len(q.scored) for q in questions], 8)
    shape = (len(questions), long)
    tokens, segments = np.full(shape, pad, np.int32), np.zeros(shape, np.int32)
    targets, weights, picked = (
        np.zeros((len(questions), most), kind) for kind in (np.int32, np.float32, np.int32)
    )
    prefix = np.zeros(shape, bool)
    for row, q in enumerate(questions):
        tokens[row, : len(q.tokens)], segments[row, : len(q.tokens)] = q.tokens, 1
        targets[row, : len(q.scored)] = q.targets[q.scored]
        picked[row, : len(q.scored)], weights[row, : len(q.scored)] = q.scored, 1
        prefix[row, : q.prefix] = True
    batch = Batch(tokens, segments, targets, weights, picked)
    if questions[0].source is not None:
        sources = [cast(np.ndarray, q.source) for q in questions]
        wide = width([len(one) for one in sources], round_to)
        source = np.full((len(questions), wide), pad, np.int32)
        there = np.zeros_like(source)
        for row, one in enumerate(sources):
            source[row, : len(one)], there[row, : len(one)] = one, 1
        batch = batch.replace(source=source, source_segments=there)
    return batch.replace(prefix=prefix) if prefix.any() else batch
