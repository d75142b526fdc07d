"""Deshuffling: the tokens of a piece in random order."""

import dataclasses

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.noise.base import Noise
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import order_within


@dataclasses.dataclass(frozen=True)
class TokenShuffling(Noise):
    """Every order of a piece's tokens equally likely. Raffel et al. 2020, sec. 3.3.1 (deshuffling).

    The special tokens at the ends stay where they are.
    """

    def __call__(self, pieces: Pieces, draws: CounterRNG, vocabulary: Vocabulary) -> Pieces:
        """The same tokens in random order."""
        body = np.flatnonzero(~pieces.end)
        lots = draws.at(pieces.piece[body]).bits("order", pieces.ranks[body])
        index = np.arange(len(pieces.tokens))
        index[body] = body[order_within(pieces.piece[body], lots)]
        return pieces.take(index)
