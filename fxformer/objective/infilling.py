"""Infilling as a common task of objectives: -log p(middle | what the model may read), in nats.

Losses of different objectives cannot be compared. An InfillExample is one task that most of them
can pose to their model in their own format, so that the results can be.
"""

import dataclasses
from collections.abc import Sequence
from typing import cast

import numpy as np

from fxformer.batch import Batch, Vocabulary


@dataclasses.dataclass(frozen=True)
class InfillExample:
    """A text whose middle is to be predicted. [n] int32 ids each.

    The special tokens around a text are part of left and right; left has at least one token.
    """

    left: np.ndarray
    middle: np.ndarray
    right: np.ndarray

    @property
    def text(self) -> np.ndarray:
        """The whole. [n] int32."""
        return np.concatenate([self.left, self.middle, self.right])

    def closed(self, vocabulary: Vocabulary) -> bool:
        """Whether no ordinary token comes after the example."""
        return bool(vocabulary.special[self.right].all())

    def singles(self) -> list["InfillExample"]:
        """One example for each token of the middle, all others given: the terms of a
        pseudo-likelihood (Salazar et al. 2020)."""
        text, first = self.text, len(self.left)
        places = range(first, first + len(self.middle))
        return [InfillExample(text[:i], text[i : i + 1], text[i + 1 :]) for i in places]


@dataclasses.dataclass(frozen=True)
class ScoringRequest:
    """One row of model input with the positions to score.

    tokens: [t] int32, input of the (only, or decoder) stack
    targets: [t] int32, the correct ids
    scored: [k] int64, positions in `targets` to score
    source: [s] int32, input of the encoder
    prefix: number of first tokens that a causal stack encodes bidirectionally
    """

    tokens: np.ndarray
    targets: np.ndarray
    scored: np.ndarray
    source: np.ndarray | None = None
    prefix: int = 0


def shifted(target: np.ndarray, start: int) -> np.ndarray:
    """Decoder input for `target` [t]: the start token, then all but the last."""
    return np.concatenate([[start], target[:-1]]).astype(np.int32)


def scoring_batch(requests: Sequence[ScoringRequest], pad: int, *, round_to: int = 32) -> Batch:
    """Requests as one batch, a row each; lengths rounded up, so that few shapes are compiled."""

    def width(sizes: list[int], step: int) -> int:
        return -(-max(sizes) // step) * step

    long = width([len(one.tokens) for one in requests], round_to)
    most = width([len(one.scored) for one in requests], 8)
    shape = (len(requests), long)
    tokens, segments = np.full(shape, pad, np.int32), np.zeros(shape, np.int32)
    targets, weights, picked = (
        np.zeros((len(requests), most), kind) for kind in (np.int32, np.float32, np.int32)
    )
    prefix = np.zeros(shape, bool)
    for row, q in enumerate(requests):
        tokens[row, : len(q.tokens)], segments[row, : len(q.tokens)] = q.tokens, 1
        targets[row, : len(q.scored)] = q.targets[q.scored]
        picked[row, : len(q.scored)], weights[row, : len(q.scored)] = q.scored, 1
        prefix[row, : q.prefix] = True
    batch = Batch(tokens, segments, targets, weights, picked)
    if requests[0].source is not None:
        sources = [cast(np.ndarray, one.source) for one in requests]
        wide = width([len(one) for one in sources], round_to)
        source = np.full((len(requests), wide), pad, np.int32)
        there = np.zeros_like(source)
        for row, one in enumerate(sources):
            source[row, : len(one)], there[row, : len(one)] = one, 1
        batch = batch.replace(source=source, source_segments=there)
    return batch.replace(prefix=prefix) if prefix.any() else batch
