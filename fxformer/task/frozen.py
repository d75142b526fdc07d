"""Frozen bodies (task.frozen): rows that carry what the head reads, computed once.

The body of the model is computed for all inputs before training; a step then computes the head
alone. Its parameters change as with adapter=head_only, which computes the body in every step and
can therefore have dropout there.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Int

from fxformer.batch import Rows
from fxformer.nn.task_head import POOLINGS
from fxformer.task.corpus import TaskSplit


@dataclasses.dataclass(frozen=True)
class PoolOnly:
    """Instead of a head: the pooled hidden states that it would read."""

    head: Any

    def of_pieces(self, x: Array, pieces: Array, *, key: Array | None = None) -> Array:
        """[B, T, D] and [B, N, T] -> [B, N, D]."""
        return POOLINGS[self.head.pooling](x, pieces)


@dataclasses.dataclass(frozen=True)
class FromVectors:
    """A head that reads vectors which are pooled already."""

    head: Any

    def of_pieces(self, x: Array, pieces: Array, *, key: Array | None = None) -> Array:
        """[B, N, D] -> logits [B, N, C]."""
        return self.head.of_vectors(x, key=key)


@dataclasses.dataclass(frozen=True)
class FrozenSplit(TaskSplit):
    """A split whose rows carry the vectors of a frozen body.

    width: of a vector
    per_token: whether there is a vector for each token of an input, instead of one
    vectors: {"vectors": [n, width] float32}, filled in before training; empty: rows carry zeros
    """

    width: int = 0
    per_token: bool = False
    vectors: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def plain(self) -> TaskSplit:
        """The split without vectors."""
        return TaskSplit(self.packed, self.features, self.read)

    @functools.cached_property
    def offsets(self) -> Int[np.ndarray, "features+1"]:
        """The first vector of each input."""
        sizes = [len(one.tokens) if self.per_token else 1 for one in self.features]
        return np.cumsum([0, *sizes])

    @property
    def count(self) -> int:
        """How many vectors there are."""
        return int(self.offsets[-1])

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0) -> Rows:
        made = self.packed.rows(which, seed, epoch)
        mask, number = self.places(made)
        hidden = np.zeros((*mask.shape, self.width), np.float32)
        if known := self.vectors:
            hidden[mask] = known["vectors"][number]
        return dataclasses.replace(made, hidden=hidden)

    def places(self, rows: Rows) -> tuple[Bool[np.ndarray, "B N"], Int[np.ndarray, "n"]]:
        """(places of rows that have a vector, number of the vector of each of them)."""
        assert rows.labels is not None
        index = np.asarray(rows.labels.index)
        if not self.per_token:
            mask = index >= 0
            return mask, index[mask]
        mask, offsets = rows.examples >= 0, self.offsets
        begin = np.zeros(len(self.features), np.int64)
        row, slot = np.nonzero(index >= 0)
        begin[index[row, slot]] = np.asarray(rows.labels.at)[row, slot]
        examples = rows.examples[mask]
        column = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)[mask]
        return mask, offsets[examples] + column - begin[examples]
