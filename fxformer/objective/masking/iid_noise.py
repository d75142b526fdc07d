"""Independently masked tokens, neighbours joined to spans (T5's first denoising experiments)."""

import dataclasses

import numpy as np

from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import Hidden, Hiding
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of
from fxformer.types import Proportion


@dataclasses.dataclass(frozen=True)
class RandomTokens(Hiding):
    """Each token with probability `rate`; neighbours make a span. Raffel et al. 2020, sec. 3.3.2.

    A piece that would hide nothing, or everything, hides (or keeps) the token nearest to it; one of
    a single token keeps it.
    """

    rate: Proportion = 0.15

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Hidden:
        """The hidden tokens, neighbours joined."""
        free = np.flatnonzero(pieces.free)
        piece = pieces.piece[free]
        lots = draws.at(piece).uniform("hide", pieces.ranks[free])
        number = counts_of(piece, pieces.count)
        low, high = np.full(pieces.count, 2.0), np.full(pieces.count, -1.0)
        np.minimum.at(low, piece, lots)
        np.maximum.at(high, piece, lots)
        hit = ((lots < self.rate) | (lots == low[piece])) & (lots != high[piece])
        hit &= number[piece] > 1
        place = np.flatnonzero(hit)
        new = np.ones(len(place), bool)
        new[1:] = (np.diff(place) != 1) | (np.diff(piece[place]) != 0)
        run = np.cumsum(new) - 1
        first = np.zeros(pieces.count, np.int64)
        owner = piece[place]
        first[owner[::-1]] = run[::-1]
        return Hidden(free[place], run - first[owner])

    def most(self, length: int) -> tuple[int, int]:
        """(tokens, spans): six standard deviations above the mean; spans are fewer than tokens."""
        spread = np.sqrt(length * self.rate * (1 - self.rate))
        tokens = int(min(np.ceil(length * self.rate + 6 * spread + 1), max(length - 1, 0)))
        spans = length * self.rate * (1 - self.rate) + 6 * spread + 1
        return tokens, int(min(np.ceil(spans), tokens))

    def room(self, length: int, shortest: int, marks: int) -> int:
        """As for one piece, since tokens are independent, and the ends of all pieces."""
        tokens, spans = self.most(length)
        return tokens + marks * spans + (marks + 1) * max(length // max(shortest, 1), 1)
