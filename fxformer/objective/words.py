"""The words of pieces of text: runs of ordinary tokens that belong together."""

import dataclasses
import math

import numpy as np

from fxformer.objective.chosen import Chosen
from fxformer.objective.law import Law
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, ranks_of
from fxformer.objective.select import SHORT, due


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
    def of(cls, pieces: Pieces, *, whole: bool = True) -> "Words":
        """The words of ordinary tokens; not whole: every ordinary token is taken for a word."""
        free = np.flatnonzero(pieces.free)
        piece, word = pieces.piece[free], pieces.word[free]
        new = np.ones(len(free), bool)
        if whole:
            new[1:] = (piece[1:] != piece[:-1]) | (word[1:] != word[:-1])
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


def torn() -> Law:
    """Words are selected whole or not at all."""

    def partly(pieces: Pieces, chosen: Chosen) -> np.ndarray:
        words = Words.of(pieces)
        taken = words.taken(chosen, pieces)
        return (taken > 0) & (taken < words.size)

    return Law("words selected in part", 0.0, partly, "exact")


def room_for_words(rate: float, length: int) -> int:
    """Targets a row has room for where the number of tokens is only met on average.

    As for `ExactCount`, and four standard deviations of a sum of words of which each has two tokens
    more or less than the mean word: 148 of 512 tokens at rate 0.15.
    """
    exact = math.ceil(length * rate + length / SHORT / 2) + 1
    return min(exact + math.ceil(4 * math.sqrt(2 * rate * length)), length)


def share_law(rate: float) -> Law:
    """The share of the words, for selections that meet a number of words exactly."""

    def share(pieces: Pieces, chosen: Chosen) -> np.ndarray:
        words = Words.of(pieces)
        some = words.count > 0
        hit = counts_of(words.piece, pieces.count, words.taken(chosen, pieces) > 0)
        rounding = due(rate, words.count) - rate * words.count
        return np.stack([hit - rounding, words.count], axis=1)[some]

    return Law("selected share of the words, rounding aside", rate, share, "ratio")
