"""The suffix of a text is masked: prefix language modelling as denoising (UL2's S)."""

import dataclasses

import numpy as np

from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import Hidden, Hiding
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import starts_of
from fxformer.types import Proportion


@dataclasses.dataclass(frozen=True)
class Suffix(Hiding):
    """The last k of m tokens, k uniform on 1 … M, M = min(round(2·rate·m) - 1, m - 1), at least 1.

    Tay et al. 2023 (UL2), sec. 3.1.2: the S-denoiser, rate 0.25, which is the mean of k / m. A
    piece of one token keeps it.
    """

    rate: Proportion = 0.25

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Hidden:
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
