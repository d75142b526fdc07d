"""Masked tokens and the units they belong to: tokens, words or spans."""

import dataclasses

import numpy as np

from fxformer.objective.pieces import Pieces


@dataclasses.dataclass(frozen=True)
class Chosen:
    """k chosen tokens in units of one or more neighbours; the tokens of a unit share one fate.

    index: [k] int64, ascending, where the tokens stand in their `Pieces`
    unit: [k] int64, the rank in its piece of the first token of the unit a token belongs to
    """

    index: np.ndarray
    unit: np.ndarray

    @classmethod
    def single(cls, pieces: Pieces, index: np.ndarray) -> "Chosen":
        """Every token a unit of its own."""
        return cls(index, pieces.ranks[index])

    def take(self, which: np.ndarray) -> "Chosen":
        """Those of the chosen for which `which` holds, or that it lists. [k] bool, or indices."""
        return Chosen(self.index[which], self.unit[which])

    def runs(self, pieces: Pieces) -> np.ndarray:
        """0, 0, 1 …: the number of each token's unit, counted over all pieces. [k] int64."""
        piece = pieces.piece[self.index]
        new = np.ones(len(self.index), bool)
        new[1:] = (piece[1:] != piece[:-1]) | (self.unit[1:] != self.unit[:-1])
        return np.cumsum(new) - 1
