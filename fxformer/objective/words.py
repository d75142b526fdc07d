"""The words of pieces of text: runs of ordinary tokens that belong together."""

import dataclasses
import math

import numpy as np

from fxformer.batch import Limit
from fxformer.objective.counter_rng import Draws
from fxformer.objective.law import Law
from fxformer.objective.masking.selected import Chosen
from fxformer.objective.masking.tokens import at_least_one, due
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
    owner: np.ndarray, size: np.ndarray, pieces: Pieces, budget: np.ndarray, draws: Draws
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


def unit_laws(rate: float, whole: bool) -> tuple[Law, ...]:
    """Words are selected whole or not at all, none beyond the budget, tokens at their rate."""

    def budget(pieces: Pieces) -> np.ndarray:
        return due(rate, pieces.free_lengths)

    def partly(pieces: Pieces, chosen: Chosen) -> np.ndarray:
        words = Words.of(pieces, budget(pieces), whole=whole)
        taken = words.taken(chosen, pieces)
        return (taken > 0) & (taken < words.size)

    def beyond(pieces: Pieces, chosen: Chosen) -> np.ndarray:
        run = chosen.runs(pieces)
        piece = pieces.piece[chosen.index[np.flatnonzero(np.diff(run, prepend=-1))]]
        return np.bincount(run) > budget(pieces)[piece]

    def most(pieces: Pieces, chosen: Chosen) -> np.ndarray:
        taken = counts_of(pieces.piece[chosen.index], pieces.count)
        return taken >= np.maximum(2 * budget(pieces), 1)

    def share(pieces: Pieces, chosen: Chosen) -> np.ndarray:
        length = pieces.free_lengths
        taken = counts_of(pieces.piece[chosen.index], pieces.count)
        rounding = budget(pieces) - rate * length
        return np.stack([taken - rounding, length], axis=1)[length > 0]

    def place(pieces: Pieces, chosen: Chosen) -> np.ndarray:
        words = Words.of(pieces, budget(pieces), whole=whole)
        middle = (words.rank + 0.5) / words.count[words.piece]
        hit = words.taken(chosen, pieces) > 0
        total = np.bincount(words.piece, weights=hit * middle, minlength=pieces.count)
        number = counts_of(words.piece, pieces.count, hit)
        return np.stack([total, number], axis=1)[number > 0]

    def alike(pieces: Pieces, chosen: Chosen) -> np.ndarray:
        words, length = Words.of(pieces, budget(pieces), whole=whole), pieces.free_lengths
        chance = (budget(pieces) / np.maximum(length, 1))[words.piece]
        hit = (words.taken(chosen, pieces) > 0) - chance + rate
        total = np.bincount(words.piece, weights=hit, minlength=pieces.count)
        return np.stack([total, words.count], axis=1)[words.count > 0]

    return (
        Law("words, or parts as long as the budget, selected in part", 0.0, partly, "exact"),
        Law("units of more tokens than the budget", 0.0, beyond, "exact"),
        Law("pieces with twice their budget selected", 0.0, most, "exact"),
        at_least_one(),
        Law("selected share of the tokens, rounding aside", rate, share, "ratio"),
        Law("selected share of the words, rounding aside", rate, alike, "ratio"),
        Law("place of a selected word in its piece", 0.5, place, "ratio"),
    )
