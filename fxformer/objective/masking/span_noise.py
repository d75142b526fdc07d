"""Spans by random segmentation: a certain number of tokens in a certain number of spans (T5)."""

import dataclasses
from typing import Annotated

import numpy as np

from fxformer.objective.counter_rng import Draws
from fxformer.objective.law import Law
from fxformer.objective.masking.base import Hidden, Hiding
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, smallest, starts_of, sums_before
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

    def __call__(self, pieces: Pieces, draws: Draws) -> Hidden:
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

    def laws(self) -> tuple[Law, ...]:
        """Numbers, first and last token, the spread of the parts, and the first span."""
        return (
            Law("hidden tokens other than round(rate·m)", 0.0, self._off_tokens, "exact"),
            Law("spans other than round(hidden / length)", 0.0, self._off_spans, "exact"),
            Law("pieces that begin hidden or end unhidden", 0.0, _ends, "exact"),
            Law("spread of the first span, beyond chance", 0.0, _spread(_lengths), "mean"),
            Law("spread of the first gap, beyond chance", 0.0, _spread(_gaps), "mean"),
            Law("length of the first span, as a share of the mean", 1.0, _first, "mean"),
        )

    def _off_tokens(self, pieces: Pieces, hidden: Hidden) -> np.ndarray:
        seen = counts_of(pieces.piece[hidden.index], pieces.count)
        return seen - self.counts(pieces.free_lengths)[0]

    def _off_spans(self, pieces: Pieces, hidden: Hidden) -> np.ndarray:
        return hidden.number(pieces) - self.counts(pieces.free_lengths)[1]


def _parts(whole: np.ndarray, count: np.ndarray, draws: Draws) -> np.ndarray:
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


def _lengths(pieces: Pieces, hidden: Hidden) -> tuple[np.ndarray, np.ndarray]:
    """(piece, tokens) of each span."""
    first = np.flatnonzero(hidden.begins(pieces))
    return pieces.piece[hidden.index[first]], np.diff(np.append(first, len(hidden.index)))


def _gaps(pieces: Pieces, hidden: Hidden) -> tuple[np.ndarray, np.ndarray]:
    """(piece, tokens that stay before it) of each span."""
    seen = sums_before(pieces.free, pieces.piece, pieces.count)
    first = np.flatnonzero(hidden.begins(pieces))
    piece, length = _lengths(pieces, hidden)
    start = seen[hidden.index[first]]
    before = np.concatenate([[0], (start + length)[:-1]])
    before[np.diff(piece, prepend=-1) != 0] = 0
    return piece, start - before


def _spread(parts):
    """(first part - 1)² against its mean, for a whole n cut into K parts, every cut as likely.

    With m = n - K to share out, E[y²] = m (2m + K - 1) / (K (K + 1)); given as a share of that.
    """

    def surplus(pieces: Pieces, hidden: Hidden) -> np.ndarray:
        piece, length = parts(pieces, hidden)
        number = counts_of(piece, pieces.count)
        whole = np.bincount(piece, weights=length, minlength=pieces.count)[number > 0]
        number = number[number > 0]
        spare = whole - number
        mean = spare * (2 * spare + number - 1) / (number * (number + 1))
        lead = length[np.diff(piece, prepend=-1) != 0] - 1
        return (lead**2 - mean) / np.maximum(mean, 1)

    return surplus


def _first(pieces: Pieces, hidden: Hidden) -> np.ndarray:
    piece, length = _lengths(pieces, hidden)
    number = counts_of(piece, pieces.count)
    whole = np.bincount(piece, weights=length, minlength=pieces.count)
    lead = length[np.diff(piece, prepend=-1) != 0]
    return lead * number[number > 0] / whole[number > 0]


def _ends(pieces: Pieces, hidden: Hidden) -> np.ndarray:
    picked = np.zeros(len(pieces.tokens), bool)
    picked[hidden.index] = True
    free = np.flatnonzero(pieces.free)
    number, piece = pieces.free_lengths, pieces.piece[free]
    rank = np.arange(len(free)) - starts_of(number)[piece]
    several = number[piece] > 1
    first, last = several & (rank == 0), several & (rank == number[piece] - 1)
    return np.concatenate([picked[free[first]], ~picked[free[last]]])
