"""Token deletion: single tokens are deleted without a mark."""

import dataclasses

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.noise.base import Noise
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of
from fxformer.types import Rate


@dataclasses.dataclass(frozen=True)
class TokenDeletion(Noise):
    """Each ordinary token disappears with probability `rate`. Lewis et al. 2020, sec. 2.2.

    A piece whose every token would go keeps the one that was nearest to staying, because the
    decoder must have something to attend to.
    """

    rate: Rate = 0.15

    def __call__(self, pieces: Pieces, draws: CounterRNG, vocabulary: Vocabulary) -> Pieces:
        """The tokens that stay."""
        free = np.flatnonzero(pieces.free)
        lots = draws.at(pieces.piece[free]).uniform("delete", pieces.ranks[free])
        gone = np.zeros(len(pieces.tokens), bool)
        gone[free] = lots < self.rate
        empty = counts_of(pieces.piece, pieces.count, ~gone) == 0
        last = np.full(pieces.count, -1.0)
        np.maximum.at(last, pieces.piece[free], lots)
        gone[free[empty[pieces.piece[free]] & (lots == last[pieces.piece[free]])]] = False
        return pieces.take(np.flatnonzero(~gone))

    def fill(self, size: int, vocabulary: Vocabulary) -> list[int]:
        """Nothing."""
        return []
