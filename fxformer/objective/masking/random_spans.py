"""Spans that a decoder generates: random spans and tokens (T5), a random suffix (UL2)."""

import dataclasses
from typing import Annotated

import numpy as np

from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import Masked, Seq2SeqMasking
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, smallest, starts_of, sums_before
from fxformer.types import Proportion, Range


@dataclasses.dataclass(frozen=True)
class RandomSpans(Seq2SeqMasking):
    """N = round(rate·m) of m tokens in K = round(N / length) spans. Raffel et al. 2020, sec. 3.3.4.

    Both numbers are certain (N in 1 … m-1, K in 1 … min(N, m-N)); the places are drawn: N is cut
    into K positive parts, m-N into K as well, every such cut equally likely, and the parts take
    turns, one that stays first. So a piece begins with a token that stays and ends with a masked
    one, as in the released code. Halves round up. A piece of one token keeps it.
    """

    rate: Proportion = 0.15
    length: Annotated[float, Range(1)] = 3.0

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The tokens of the spans."""
        number = pieces.free_lengths
        tokens, spans = self.counts(number)
        hidden = _parts(tokens, spans, draws.within("hidden"))
        left = _parts(number - tokens, spans, draws.within("left"))
        piece, rank = numbered(spans)
        first = sums_before(left + hidden, piece, pieces.count) + left
        span, step = numbered(hidden)
        free = np.flatnonzero(pieces.free)
        index = free[starts_of(number)[piece[span]] + first[span] + step]
        return Masked(index, rank[span])

    def counts(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens, spans) masked of pieces with so many ordinary tokens. int64."""
        tokens = np.floor(self.rate * number + 0.5).astype(np.int64)
        tokens = np.maximum(np.minimum(np.maximum(tokens, 1), number - 1), 0)
        spans = np.maximum(np.floor(tokens / self.length + 0.5).astype(np.int64), 1)
        return tokens, np.minimum(spans, np.minimum(tokens, number - tokens))

    def most(self, length: int) -> tuple[int, int]:
        """(tokens, spans) of a piece of `length` ordinary tokens."""
        tokens, spans = self.counts(np.array([length]))
        return int(tokens[0]), int(spans[0])


def _parts(whole: np.ndarray, count: np.ndarray, draws: CounterRNG) -> np.ndarray:
    """whole[p] cut into count[p] positive parts, every cut equally likely. [sum of count] int64.

    count[p]-1 of the whole[p]-1 places between two tokens are chosen.
    """
    owner, rank = numbered(np.maximum(whole - 1, 0))
    cuts = np.sort(smallest(owner, draws.at(owner).bits("cut", rank), np.maximum(count - 1, 0)))
    piece, part = numbered(count)
    end = np.zeros(len(piece), np.int64)
    last = part == count[piece] - 1
    end[last] = whole[count > 0]
    end[~last] = rank[cuts] + 1
    start = np.concatenate([[0], end[:-1]])
    start[part == 0] = 0
    return end - start


@dataclasses.dataclass(frozen=True)
class RandomTokens(Seq2SeqMasking):
    """Each token with probability `rate`; neighbours make a span. Raffel et al. 2020, sec. 3.3.2.

    A piece of which nothing, or everything, would be masked loses (or keeps) the token nearest to
    it; one of a single token keeps it.
    """

    rate: Proportion = 0.15

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The masked tokens, neighbours joined."""
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
        return Masked(free[place], run - first[owner])

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


@dataclasses.dataclass(frozen=True)
class Suffix(Seq2SeqMasking):
    """The last k of m tokens, k uniform on 1 … M, M = min(round(2·rate·m) - 1, m - 1), at least 1.

    Tay et al. 2023 (UL2), sec. 3.1.2: the S-denoiser, rate 0.25, which is the mean of k / m. A
    piece of one token keeps it.
    """

    rate: Proportion = 0.25

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The tokens of the suffixes, each one span."""
        number = pieces.free_lengths
        size = np.minimum(1 + draws.below("suffix", self.longest(number)), self.longest(number))
        free = np.flatnonzero(pieces.free)
        piece = pieces.piece[free]
        rank = np.arange(len(free)) - starts_of(number)[piece]
        index = free[rank >= (number - size)[piece]]
        return Masked(index, np.zeros(len(index), np.int64))

    def longest(self, number: np.ndarray) -> np.ndarray:
        """M of pieces with so many ordinary tokens; 0 where there are fewer than two. int64."""
        top = np.floor(2 * self.rate * number + 0.5).astype(np.int64) - 1
        return np.maximum(np.minimum(np.maximum(top, 1), number - 1), 0)

    def most(self, length: int) -> tuple[int, int]:
        """(tokens, spans) of a piece of `length` ordinary tokens."""
        top = int(self.longest(np.array([length]))[0])
        return top, min(top, 1)
