"""Which tokens a masked LM has to predict: each by a coin, or a fixed count."""

import dataclasses
import math
from typing import ClassVar

import numpy as np
from scipy import special

from fxformer.batch import Limit
from fxformer.objective.counter_rng import Draws
from fxformer.objective.law import Law
from fxformer.objective.masking.selected import Chosen
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, smallest
from fxformer.types import Proportion

# Rows of pieces this long or longer are sure of a place for every target; see `capacity`.
SHORT = 16
OVERFLOW = 1e-9


@dataclasses.dataclass(frozen=True)
class Independent:
    """Each ordinary token with probability `rate`; a piece that would get none gets one.

    Liu et al. 2019 (RoBERTa) as released, and most code since. A piece of m tokens has on average
    rate·m + (1-rate)^m targets: the second term is the guaranteed one.
    """

    rate: Proportion = 0.15
    single: ClassVar[bool] = True

    def __call__(self, pieces: Pieces, draws: Draws) -> Chosen:
        """The chosen tokens, each a unit of its own."""
        free = np.flatnonzero(pieces.free)
        piece = pieces.piece[free]
        lots = draws.at(piece).uniform("select", pieces.ranks[free])
        least = np.full(pieces.count, 2.0)
        np.minimum.at(
            least, piece, lots
        )  # the guaranteed one is whoever was nearest to being chosen
        chosen = free[(lots < self.rate) | (lots == least[piece])]
        return Chosen.single(pieces, chosen)

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

    def laws(self) -> tuple[Law, ...]:
        """Measured between pieces and what was chosen of them."""
        return (
            Law("selected share, the guaranteed target aside", self.rate, self._share, "ratio"),
            Law("selected neighbours, share of pairs", self.rate**2, _neighbours, "ratio"),
            at_least_one(),
        )

    def _share(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        free, taken = _free_and_taken(pieces, chosen)
        return np.stack([taken - (1 - self.rate) ** free, free], axis=1)


@dataclasses.dataclass(frozen=True)
class ExactCount:
    """max(1, round(rate·m)) of the m ordinary tokens of each piece, every subset equally likely.

    Devlin et al. 2019 (BERT), sec. 3.1 and the released data code. Halves round up.
    """

    rate: Proportion = 0.15
    single: ClassVar[bool] = True

    def __call__(self, pieces: Pieces, draws: Draws) -> Chosen:
        """The chosen tokens, each a unit of its own."""
        free = np.flatnonzero(pieces.free)
        piece = pieces.piece[free]
        lots = draws.at(piece).bits("select", pieces.ranks[free])
        chosen = free[smallest(piece, lots, self.due(pieces.free_lengths))]
        return Chosen.single(pieces, np.sort(chosen))

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

    def laws(self) -> tuple[Law, ...]:
        """Measured between pieces and what was chosen of them."""
        return (
            Law("selected less than due", 0.0, self._missing, "exact"),
            Law("selected share, rounding aside", self.rate, self._share, "ratio"),
            Law("place of a selected token in its piece", 0.5, _place, "mean"),
            Law("selected neighbours, against chance", 0.0, self._clumps, "ratio"),
            at_least_one(),
        )

    def _missing(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        free, taken = _free_and_taken(pieces, chosen)
        return self.due(free) - taken

    def _share(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        free, taken = _free_and_taken(pieces, chosen)
        return np.stack([taken - (self.due(free) - self.rate * free), free], axis=1)

    def _clumps(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        free, _ = _free_and_taken(pieces, chosen)
        free, due = free[free > 1], self.due(free[free > 1])
        pairs = _neighbours(pieces, chosen)
        pairs[:, 0] -= pairs[:, 1] * due * (due - 1) / (free * (free - 1))
        return pairs


def due(rate: float, lengths: np.ndarray) -> np.ndarray:
    """max(1, round(rate · length)), but never more than there is. int64."""
    rounded = np.floor(rate * lengths + 0.5).astype(np.int64)
    return np.minimum(np.maximum(rounded, 1), lengths)


def at_least_one() -> Law:
    """Every piece with an ordinary token has a target."""

    def empty(pieces: Pieces, chosen: Chosen) -> np.ndarray:
        return _free_and_taken(pieces, chosen)[1] == 0

    return Law("pieces without a target", 0.0, empty, "exact")


def _free_and_taken(pieces: Pieces, chosen: Chosen) -> tuple[np.ndarray, np.ndarray]:
    """(ordinary tokens, chosen ones) of each piece that has any. Both int64."""
    free = pieces.free_lengths
    taken = counts_of(pieces.piece[chosen.index], pieces.count)
    return free[free > 0], taken[free > 0]


def _neighbours(pieces: Pieces, chosen: Chosen) -> np.ndarray:
    """(both chosen, all) pairs of neighbouring ordinary tokens, for each piece of two or more.

    Exactly rate² for independent choices: the guaranteed target is alone in its piece.
    """
    picked = np.zeros(len(pieces.tokens), bool)
    picked[chosen.index] = True
    free = np.flatnonzero(pieces.free)
    piece, picked = pieces.piece[free], picked[free]
    same = piece[1:] == piece[:-1]
    both = counts_of(piece[1:], pieces.count, same & picked[1:] & picked[:-1])
    pairs = counts_of(piece[1:], pieces.count, same)
    return np.stack([both, pairs], axis=1)[pairs > 0].astype(np.float64)


def _place(pieces: Pieces, chosen: Chosen) -> np.ndarray:
    """Mean over the chosen of a piece of (position among its ordinary tokens + ½) / m."""
    free = np.flatnonzero(pieces.free)
    rank = np.zeros(len(pieces.tokens))
    _, rank[free] = _numbered_free(pieces, free)
    piece = pieces.piece[chosen.index]
    place = (rank[chosen.index] + 0.5) / pieces.free_lengths[piece]
    number = counts_of(piece, pieces.count)
    total = np.bincount(piece, weights=place, minlength=pieces.count)
    return total[number > 0] / number[number > 0]


def _numbered_free(pieces: Pieces, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    piece = pieces.piece[free]
    first = np.cumsum(pieces.free_lengths) - pieces.free_lengths
    return piece, np.arange(len(free)) - first[piece]
