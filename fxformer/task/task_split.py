"""A split of labelled rows, packed: what a model reads, and the rows that it was made of."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fxformer.data.labelled.rows import Row
from fxformer.data.packing import Packed


@dataclasses.dataclass(frozen=True)
class TaskSplit:
    """The inputs of a split in rows, and the rows of the files that they were made of.

    features: the inputs; read: rows of the files, by number of example
    """

    packed: Packed
    features: Sequence[Any]
    read: Sequence[Row]

    @property
    def length(self) -> int:
        return self.packed.length

    def __len__(self) -> int:
        return len(self.packed)

    def rows(self, which: np.ndarray, seed: int = 0, epoch: int = 0):
        return self.packed.rows(which, seed, epoch)

    def facts(self) -> dict:
        return self.packed.facts()
