"""Batches by number: what batch n holds depends on the seed and n alone."""

import functools
from typing import Protocol

import numpy as np

from fxformer.batch import Rows
from fxformer.data.packing import Packed
from fxformer.errors import UserError


class Batches(Protocol):
    """A sequence of Rows of one shape [batch, row length]."""

    steps_per_epoch: int

    def __getitem__(self, n: int) -> Rows: ...

    def epoch(self, n: int) -> int:
        """The epoch batch n belongs to, from 0."""


class Shuffled:
    """Endless: every epoch a new order of all rows, in which each comes at most once.

    The rows that are left when no whole batch can be made of them (fewer than `batch`, others in
    every epoch) sit that epoch out.
    """

    def __init__(self, packed: Packed, batch: int, seed: int):
        if len(packed) < batch:
            facts = packed.facts()
            raise UserError(
                f"the training text fills {len(packed)} rows of {facts['row_length']} tokens: "
                f"no batch of {batch}: data.batch={max(len(packed), 1)} at most, a smaller "
                "data.length, or more text"
            )
        self.packed, self.batch, self.seed = packed, batch, seed
        self.steps_per_epoch = len(packed) // batch
        self._order = functools.lru_cache(2)(self._shuffle)

    def _shuffle(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.packed))

    def epoch(self, n: int) -> int:
        return n // self.steps_per_epoch

    def __getitem__(self, n: int) -> Rows:
        if n < 0:
            raise IndexError(f"batch {n}")
        epoch, step = divmod(n, self.steps_per_epoch)
        which = self._order(epoch)[step * self.batch : (step + 1) * self.batch]
        return self.packed.rows(which, self.seed, epoch)


class InOrder:
    """Every row exactly once, in order; the last batch is filled up with rows of padding.

    Its seed and epoch never change, so that every evaluation of every run asks the same.
    """

    seed = 0

    def __init__(self, packed: Packed, batch: int):
        self.packed, self.batch = packed, batch
        self.steps_per_epoch = -(-len(packed) // batch)

    def __len__(self) -> int:
        return self.steps_per_epoch

    def epoch(self, n: int) -> int:
        return 0

    def __getitem__(self, n: int) -> Rows:
        if not 0 <= n < len(self):
            raise IndexError(f"batch {n} of {len(self)}")
        which = np.arange(n * self.batch, (n + 1) * self.batch)
        return self.packed.rows(np.where(which < len(self.packed), which, -1))
