"""Document rotation: a piece begins at a random token and goes round."""

import dataclasses

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.objective.counter_rng import Draws
from fxformer.objective.law import Law
from fxformer.objective.noise.base import Noise, complete, honest, unchanged
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, ranks_of
from fxformer.types import Share


@dataclasses.dataclass(frozen=True)
class DocumentRotation(Noise):
    """A piece begins at a token chosen uniformly and goes round. Lewis et al. 2020, sec. 2.2.

    The special tokens at the ends stay; of the m tokens between them each is equally likely to
    come first, the one that was first included.

    share: how many of the pieces are rotated; 1 in the paper
    """

    share: Share = 1.0

    def __call__(self, pieces: Pieces, draws: Draws, vocabulary: Vocabulary) -> Pieces:
        """The same tokens, in cyclic order."""
        body = np.flatnonzero(~pieces.end)
        piece = pieces.piece[body]
        lengths = counts_of(piece, pieces.count)
        turn = np.where(draws.uniform("whether") < self.share, draws.below("turn", lengths), 0)
        rank = ranks_of(piece, pieces.count)
        index = np.arange(len(pieces.tokens))
        there = (rank + turn[piece]) % np.maximum(lengths, 1)[piece]
        index[body] = body[np.arange(len(body)) - rank + there]
        return pieces.take(index)

    def laws(self, vocabulary: Vocabulary) -> tuple[Law, ...]:
        """Cyclic order is kept, and the turn is uniform."""
        return (
            *honest(),
            complete(),
            unchanged(),
            Law("breaks of the cyclic order beyond one", 0.0, _breaks, "exact"),
            Law("rotated pieces, one in m unmoved", self.share, _rotated, "mean"),
            Law("mean turn of a piece, as a share of m - 1", self.share / 2, _turn, "mean"),
        )


def _body(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(piece, old rank) of the tokens between the ends, in their new order; length per piece."""
    body = np.flatnonzero(~after.end)
    piece = after.piece[body]
    old = np.full(len(before.tokens), -1)
    inside = np.flatnonzero(~before.end)
    old[inside] = ranks_of(before.piece[inside], before.count)
    return piece, old[after.origin[body]], counts_of(before.piece[inside], before.count)


def _breaks(before: Pieces, after: Pieces) -> np.ndarray:
    piece, old, lengths = _body(before, after)
    same = piece[1:] == piece[:-1]
    return ((old[1:] - old[:-1]) % np.maximum(lengths, 1)[piece[1:]] != 1)[
        same & (lengths > 1)[piece[1:]]
    ]


def _turns(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """(turn, length) of each piece with two tokens or more between its ends."""
    piece, old, lengths = _body(before, after)
    turn = old[ranks_of(piece, before.count) == 0]
    lengths = lengths[lengths > 0]
    return turn[lengths > 1], lengths[lengths > 1]


def _rotated(before: Pieces, after: Pieces) -> np.ndarray:
    turn, lengths = _turns(before, after)
    return (turn > 0) * lengths / (lengths - 1)


def _turn(before: Pieces, after: Pieces) -> np.ndarray:
    turn, lengths = _turns(before, after)
    return turn / (lengths - 1)
