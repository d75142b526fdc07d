"""The end of a text is hidden: prefix language modelling as a kind of denoising (UL2's S)."""

import dataclasses

import numpy as np

from fxformer.objective.counter_rng import Draws
from fxformer.objective.law import Law
from fxformer.objective.masking.base import Hidden, Hiding
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, starts_of
from fxformer.types import Proportion


@dataclasses.dataclass(frozen=True)
class Suffix(Hiding):
    """The last k of m tokens, k uniform on 1 … M, M = min(round(2·rate·m) - 1, m - 1), at least 1.

    Tay et al. 2023 (UL2), sec. 3.1.2: the S-denoiser, rate 0.25, which is the mean of k / m. A
    piece of one token keeps it.
    """

    rate: Proportion = 0.25

    def __call__(self, pieces: Pieces, draws: Draws) -> Hidden:
        """The tokens of the suffixes, each one span."""
        number = pieces.free_lengths
        size = np.minimum(1 + draws.below("suffix", self.longest(number)), self.longest(number))
        free = np.flatnonzero(pieces.free)
        piece = pieces.piece[free]
        rank = np.arange(len(free)) - starts_of(number)[piece]
        index = free[rank >= (number - size)[piece]]
        return Hidden(index, np.zeros(len(index), np.int64))

    def longest(self, number: np.ndarray) -> np.ndarray:
        """M of pieces with so many ordinary tokens; 0 where there are fewer than two. int64."""
        top = np.floor(2 * self.rate * number + 0.5).astype(np.int64) - 1
        return np.maximum(np.minimum(np.maximum(top, 1), number - 1), 0)

    def most(self, length: int) -> tuple[int, int]:
        """(tokens, spans) of a piece of `length` ordinary tokens."""
        top = int(self.longest(np.array([length]))[0])
        return top, min(top, 1)

    def laws(self) -> tuple[Law, ...]:
        """It is the end, not too long, and its length is uniform."""
        return (
            Law("hidden tokens before one that stays", 0.0, _inner, "exact"),
            Law("suffixes of no token, or of too many", 0.0, self._beyond, "exact"),
            Law("length of the suffix, from shortest to longest", 0.5, self._place, "mean"),
            Law("spread of the suffix, beyond that of a uniform one", 0.0, self._square, "mean"),
        )

    def _sizes(self, pieces: Pieces, hidden: Hidden) -> tuple[np.ndarray, np.ndarray]:
        """(hidden tokens, longest suffix) of the pieces with a choice."""
        size = counts_of(pieces.piece[hidden.index], pieces.count)
        top = self.longest(pieces.free_lengths)
        return size[top > 1], top[top > 1]

    def _beyond(self, pieces: Pieces, hidden: Hidden) -> np.ndarray:
        size = counts_of(pieces.piece[hidden.index], pieces.count)
        top = self.longest(pieces.free_lengths)
        return (size > top) | ((size < 1) & (top > 0))

    def _place(self, pieces: Pieces, hidden: Hidden) -> np.ndarray:
        size, top = self._sizes(pieces, hidden)
        return (size - 1) / (top - 1)

    def _square(self, pieces: Pieces, hidden: Hidden) -> np.ndarray:
        size, top = self._sizes(pieces, hidden)
        return ((size - 1) / (top - 1)) ** 2 - (2 * top - 1) / (6 * (top - 1))


def _inner(pieces: Pieces, hidden: Hidden) -> np.ndarray:
    picked = np.zeros(len(pieces.tokens), bool)
    picked[hidden.index] = True
    free = np.flatnonzero(pieces.free)
    piece, picked = pieces.piece[free], picked[free]
    return picked[:-1] & ~picked[1:] & (piece[1:] == piece[:-1])
