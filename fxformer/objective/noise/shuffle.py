"""Deshuffling: the tokens of a piece in random order."""

import dataclasses

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import Draws
from fxformer.objective.law import Law
from fxformer.objective.noise.base import Noise, complete, honest, unchanged
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, order_within, ranks_of


@dataclasses.dataclass(frozen=True)
class TokenShuffling(Noise):
    """Every order of a piece's tokens equally likely. Raffel et al. 2020, sec. 3.3.1 (deshuffling).

    The special tokens at the ends stay where they are.
    """

    def __call__(self, pieces: Pieces, draws: Draws, vocabulary: Vocabulary) -> Pieces:
        """The same tokens in random order."""
        body = np.flatnonzero(~pieces.end)
        lots = draws.at(pieces.piece[body]).bits("order", pieces.ranks[body])
        index = np.arange(len(pieces.tokens))
        index[body] = body[order_within(pieces.piece[body], lots)]
        return pieces.take(index)

    def laws(self, vocabulary: Vocabulary) -> tuple[Law, ...]:
        """All tokens are there; as many stay, or keep their neighbour, as chance has it."""
        return (
            *honest(),
            complete(),
            unchanged(),
            Law("tokens in their old place, beyond one per piece", 0.0, _fixed, "mean"),
            Law("tokens after the one they came after, beyond chance", 0.0, _following, "mean"),
            Law("place of the token that was first", 0.5, _first, "mean"),
        )


def _body(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(piece, rank, old rank) of the tokens between the ends, in their new order."""
    body = np.flatnonzero(~before.end)
    piece = before.piece[body]
    rank = ranks_of(piece, before.count)
    place = np.zeros(len(before.tokens), np.int64)
    place[body] = rank
    return piece, rank, place[after.origin[body]]


def _fixed(before: Pieces, after: Pieces) -> np.ndarray:
    piece, rank, old = _body(before, after)
    number = counts_of(piece, before.count)
    return (counts_of(piece, before.count, rank == old) - 1)[number > 0]


def _following(before: Pieces, after: Pieces) -> np.ndarray:
    """Of m - 1 pairs each stays together, in order, with probability 1 / m."""
    piece, _, old = _body(before, after)
    number = counts_of(piece, before.count)
    kept = (np.diff(old) == 1) & (np.diff(piece) == 0)
    seen = counts_of(piece[1:], before.count, kept)
    return (seen - (number - 1) / np.maximum(number, 1))[number > 1]


def _first(before: Pieces, after: Pieces) -> np.ndarray:
    piece, rank, old = _body(before, after)
    number = counts_of(piece, before.count)
    lead = old == 0
    return ((rank + 0.5) / number[piece])[lead & (number[piece] > 1)]
