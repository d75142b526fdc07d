"""Token masking of masked language models: each token independently, or a fixed count."""

import dataclasses
import math
from typing import ClassVar

import numpy as np
from scipy import special

from fxformer.batch import Limit
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import EncoderMasking, Masked
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import smallest
from fxformer.types import Proportion

# Rows of pieces this long or longer are sure of a place for every target; see `capacity`.
SHORT = 16
OVERFLOW = 1e-9


@dataclasses.dataclass(frozen=True)
class Independent(EncoderMasking):
    """Each ordinary token with probability `rate`; a piece that would get none gets one.

    Liu et al. 2019 (RoBERTa) as released, and most code since. A piece of m tokens has on average
    rate·m + (1-rate)^m targets: the second term is the guaranteed one.
    """

    rate: Proportion = 0.15
    single: ClassVar[bool] = True

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The selected tokens, each a span of its own."""
        free = np.flatnonzero(pieces.free)
        piece = pieces.piece[free]
        lots = draws.at(piece).uniform("select", pieces.ranks[free])
        least = np.full(pieces.count, 2.0)
        np.minimum.at(
            least, piece, lots
        )  # the guaranteed one is whoever was nearest to being chosen
        chosen = free[(lots < self.rate) | (lots == least[piece])]
        return Masked.single(pieces, chosen)

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for.

        With pieces of 16 tokens the share of targets is r = rate + (1-rate)^16 / 16, with longer
        ones less. The row's count is at most binomial(length, r) in spread, and the room is the
        smallest M with P(count > M) < 1e-9: at rate 0.15, 48 of 128 and 132 of 512 tokens.
        """
        share = self._most
        places = np.arange(length)
        above = special.bdtrc(places, length, min(share, 1.0))  # P(count > place)
        return int(np.searchsorted(-above, -OVERFLOW)) if length else 0

    def limit(self, length: int) -> Limit:
        """Targets expected in a row of `length`: no more than of pieces of 16, see `capacity`."""

        def need(size: np.ndarray, around: int, behind: int) -> np.ndarray:
            return self.rate * size + (1 - self.rate) ** size

        return Limit(need, self._most * max(length, 1))

    @property
    def _most(self) -> float:
        """Expected share of targets in pieces of 16 tokens."""
        return self.rate + (1 - self.rate) ** SHORT / SHORT


@dataclasses.dataclass(frozen=True)
class ExactCount(EncoderMasking):
    """max(1, round(rate·m)) of the m ordinary tokens of each piece, every subset equally likely.

    Devlin et al. 2019 (BERT), sec. 3.1 and the released data code. Halves round up.
    """

    rate: Proportion = 0.15
    single: ClassVar[bool] = True

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The selected tokens, each a span of its own."""
        free = np.flatnonzero(pieces.free)
        piece = pieces.piece[free]
        lots = draws.at(piece).bits("select", pieces.ranks[free])
        chosen = free[smallest(piece, lots, self.due(pieces.free_lengths))]
        return Masked.single(pieces, np.sort(chosen))

    def due(self, lengths: np.ndarray) -> np.ndarray:
        """Targets of pieces with this many ordinary tokens. int64."""
        return due(self.rate, lengths)

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for: all, if its pieces have >= 16 tokens.

        Rounding adds at most half a target to a piece, so length·rate + length/16/2, rounded up.
        """
        return min(math.ceil(length * self.rate + length / SHORT / 2) + 1, length)

    def limit(self, length: int) -> Limit:
        """Targets in a row of `length` tokens: `due` of each piece."""

        def need(size: np.ndarray, around: int, behind: int) -> np.ndarray:
            return self.due(size)

        return Limit(need, max(self.capacity(length), 1))


def due(rate: float, lengths: np.ndarray) -> np.ndarray:
    """max(1, round(rate · length)), but never more than there is. int64."""
    rounded = np.floor(rate * lengths + 0.5).astype(np.int64)
    return np.minimum(np.maximum(rounded, 1), lengths)
