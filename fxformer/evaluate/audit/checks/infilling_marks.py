"""What the marks of infilled texts show: their number, places and lengths."""

import dataclasses

import numpy as np

from fxformer.objective.pieces import Pieces


@dataclasses.dataclass(frozen=True)
class Marks:
    """Every mark of a batch, as read off its neighbours.

    piece: [k] the piece it is in
    length: [k] ordinary tokens missing between its two neighbours
    alone: [k] bool, neither neighbour is a mark, so that `length` is this one's own
    place: [k] position among the ordinary tokens and marks of its piece
    """

    piece: np.ndarray
    length: np.ndarray
    alone: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, before: Pieces, after: Pieces) -> "Marks":
        """Read the marks: tokens with no origin."""
        number = before.free_lengths
        first = np.cumsum(number) - number
        seen = np.cumsum(before.free) - before.free - first[before.piece]  # ordinary tokens before
        mark = after.origin < 0
        old = np.maximum(after.origin, 0)
        item = mark | before.free[old]  # special tokens are no neighbours
        mark, old, piece = mark[item], old[item], after.piece[item]
        new = np.ones(len(piece), bool)
        new[1:] = piece[1:] != piece[:-1]
        start, stop = np.zeros(len(piece), np.int64), number[piece]
        start[1:] = np.where(
            new[1:], 0, seen[old[:-1]] + 1
        )  # first token a mark here may stand for
        stop[:-1] = np.where(new[1:], number[piece[:-1]], seen[old[1:]])
        beside = np.zeros(len(piece), bool)
        beside[1:] |= mark[:-1] & ~new[1:]
        beside[:-1] |= mark[1:] & ~new[1:]
        rank = np.arange(len(piece)) - np.flatnonzero(new)[np.cumsum(new) - 1]
        return cls(piece[mark], (stop - start)[mark], ~beside[mark], rank[mark])
