"""The words of pieces of text: runs of ordinary tokens that belong together."""

import dataclasses
import math

import numpy as np

from fxformer.batch import Limit
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.selected import Chosen
from fxformer.objective.masking.tokens import due
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, order_within, ranks_of, sums_before


@dataclasses.dataclass(frozen=True)
class Words:
    """W words of P pieces, in order.

    first: [W] where the word begins in the pieces
    size: [W] its tokens
    piece: [W] its piece, ascending
    rank: [W] its place among the words of its piece
    count: [P] words of each piece
    """

    first: np.ndarray
    size: np.ndarray
    piece: np.ndarray
    rank: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, pieces: Pieces, most: np.ndarray, *, whole: bool = True) -> "Words":
        """The words of ordinary tokens; not whole: every ordinary token is taken for a word.

        most: [P] tokens; of a longer word each part of so many is taken for a word, so that what is
        selected whole never exceeds a budget.
        """
        free = np.flatnonzero(pieces.free)
        piece = pieces.piece[free]
        new = np.ones(len(free), bool)
        if whole:
            word = pieces.word[free]
            new[1:] = (piece[1:] != piece[:-1]) | (word[1:] != word[:-1])
            place = np.arange(len(free))
            rank = place - np.maximum.accumulate(np.where(new, place, 0))
            new |= rank % np.maximum(most, 1)[piece] == 0
        begin = np.flatnonzero(new)
        size = np.diff(np.append(begin, len(free)))
        owner = piece[begin]
        return cls(
            free[begin],
            size,
            owner,
            ranks_of(owner, pieces.count),
            counts_of(owner, pieces.count),
        )

    def tokens(self, which: np.ndarray, unit: np.ndarray, pieces: Pieces) -> Chosen:
        """All tokens of the words `which` (ascending); unit: [len(which)], see `Chosen`."""
        word, rank = numbered(self.size[which])
        return Chosen(self.first[which][word] + rank, unit[word])

    def taken(self, chosen: Chosen, pieces: Pieces) -> np.ndarray:
        """How many tokens of each word are chosen. [W]."""
        word = np.searchsorted(self.first, chosen.index, side="right") - 1
        return counts_of(word, len(self.first))


def on_circle(
    owner: np.ndarray, size: np.ndarray, pieces: Pieces, budget: np.ndarray, draws: CounterRNG
) -> np.ndarray:
    """Which of some units are selected, so that each is with probability budget / m, whatever its
    size, of the m ordinary tokens of its piece.

    The units of a piece are laid on a circle of m places, in random order and turned by a random
    number of places; those that begin in the first `budget` places are selected. So the budget is
    met on average, and at least one unit and fewer than 2 · budget tokens are selected each time.

    owner: [U] ascending, the piece of each unit; size: [U] its tokens, at most its piece's budget,
    and all ordinary tokens of a piece in all. [U] bool.
    """
    length = pieces.free_lengths
    lots = draws.at(owner).bits("select", ranks_of(owner, pieces.count))
    order = order_within(owner, lots)
    owner, size = owner[order], size[order]
    turn = draws.below("turn", length)[owner]
    place = (sums_before(size, owner, pieces.count) + turn) % np.maximum(length, 1)[owner]
    chosen = np.zeros(len(order), bool)
    chosen[order] = place < budget[owner]
    return chosen


def circle_limit(rate: float, length: int) -> Limit:
    """Targets of `on_circle` in rows of `length`: 2 · due - 1 of a piece at most, which is less
    than 2 · rate of its tokens, short pieces aside."""

    def need(size: np.ndarray, around: int, behind: int) -> np.ndarray:
        return np.minimum(2 * due(rate, size) - 1, size)

    return Limit(need, max(min(math.ceil(2 * rate * length), length), 1))
