"""Random spans: a given number of tokens in a given number of spans (T5)."""

import dataclasses
from typing import Annotated

import numpy as np

from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import Hidden, Hiding
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import numbered, smallest, starts_of, sums_before
from fxformer.types import Proportion, Range


@dataclasses.dataclass(frozen=True)
class RandomSpans(Hiding):
    """N = round(rate·m) of m tokens in K = round(N / length) spans. Raffel et al. 2020, sec. 3.3.4.

    Both numbers are certain (N in 1 … m-1, K in 1 … min(N, m-N)); the places are drawn: N is cut
    into K positive parts, m-N into K as well, every such cut equally likely, and the parts take
    turns, one that stays first. So a piece begins with a token that stays and ends with a hidden
    one, as in the released code. Halves round up. A piece of one token keeps it.
    """

    rate: Proportion = 0.15
    length: Annotated[float, Range(1)] = 3.0

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Hidden:
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
        return Hidden(index, rank[span])

    def counts(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens, spans) hidden of pieces with so many ordinary tokens. int64."""
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
