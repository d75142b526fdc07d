"""Whole-word masking: all tokens of a word are masked together, within a budget of tokens."""

import dataclasses
import math

import numpy as np

from fxformer.batch import Limit
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import EncoderMasking, Masked
from fxformer.objective.masking.tokens import due
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, order_within, ranks_of, sums_before
from fxformer.types import Proportion


@dataclasses.dataclass(frozen=True)
class WholeWords(EncoderMasking):
    """Words, until B = max(1, round(rate·m)) of the m ordinary tokens of a piece are spent.

    Whole-word masking as released with BERT (Devlin et al. 2019). There a word that would exceed
    the budget is passed over, which misses it and favours short words. Here every word is selected
    with probability B / m, whatever its length (see `on_circle`), so B tokens are met on average,
    and fewer than 2·B are selected each time.

    The words are those of Unicode (UAX #29, see segmentation.py); of a word of more than B tokens
    each part of B is taken for a word. A word has one fate (see `Replacement`), where the released
    code draws one for each of its tokens.
    """

    rate: Proportion = 0.15

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The tokens of the selected words, each word a span."""
        budget = due(self.rate, pieces.free_lengths)
        words = Words.of(pieces, budget)
        which = np.flatnonzero(on_circle(words.piece, words.size, pieces, budget, draws))
        return words.tokens(which, ranks_of(words.piece[which], pieces.count))

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for."""
        return int(self.limit(length).room)

    def limit(self, length: int) -> Limit:
        """What a row of `length` tokens holds of them."""
        return circle_limit(self.rate, length)


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

    def tokens(self, which: np.ndarray, span: np.ndarray) -> Masked:
        """All tokens of the words `which` (ascending); span: [len(which)], see `Masked`."""
        word, rank = numbered(self.size[which])
        return Masked(self.first[which][word] + rank, span[word])

    def taken(self, masked: Masked) -> np.ndarray:
        """How many tokens of each word are masked. [W]."""
        word = np.searchsorted(self.first, masked.index, side="right") - 1
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
