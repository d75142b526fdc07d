"""Whole-word masking: all tokens of a word are selected together, within a budget of tokens."""

import dataclasses
from typing import ClassVar

import numpy as np

from fxformer.objective.chosen import Chosen
from fxformer.objective.draw import Draws
from fxformer.objective.law import Law
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, order_within, sums_before
from fxformer.objective.select import at_least_one, due
from fxformer.objective.words import Words, room_for_words, torn
from fxformer.types import Proportion


@dataclasses.dataclass(frozen=True)
class WholeWords:
    """Words, until max(1, round(rate·m)) of the m ordinary tokens of a piece are spent.

    Whole-word masking as released with BERT (Devlin et al. 2019). There a word that would exceed
    the budget is passed over, which misses it and favours short words. Here the words are laid on a
    circle of m places, in random order and turned by a random number of places, and those that
    begin in the first B places are selected: whatever its length, a word is selected with
    probability B / m, so B tokens are met on average, and within a word's length each time.
    A piece in which no word begins there gets the one word that covers those places.

    The words are those of `Vocabulary.starts_word`; a word has one fate (see `Replacement`), where
    the released code draws one for each of its tokens.
    """

    rate: Proportion = 0.15
    single: ClassVar[bool] = False

    def __call__(self, pieces: Pieces, draws: Draws) -> Chosen:
        """The tokens of the chosen words, each word a unit."""
        words, length = Words.of(pieces), pieces.free_lengths
        lots = draws.at(words.piece).bits("select", words.rank)
        order = order_within(words.piece, lots)
        owner, size = words.piece[order], words.size[order]
        whole = np.maximum(length, 1)[owner]
        turn = draws.below("turn", length)[owner]
        place = (sums_before(size, owner, pieces.count) + turn) % whole
        hit = place < due(self.rate, length)[owner]
        none = counts_of(owner, pieces.count, hit) == 0
        hit |= none[owner] & (place + size > whole)
        which = np.sort(order[hit])
        return words.tokens(which, pieces.ranks[words.first[which]], pieces)

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for."""
        return room_for_words(self.rate, length)

    def laws(self) -> tuple[Law, ...]:
        """Measured between pieces and what was chosen of them."""
        return (
            torn(),
            at_least_one(),
            Law("selected share, rounding and sure words aside", self.rate, self._share, "ratio"),
            Law("selected words, of any length alike", self.rate, self._words, "ratio"),
            Law("place of a selected word in its piece", 0.5, self._place, "ratio"),
        )

    def _spare(self, pieces: Pieces, words: Words) -> np.ndarray:
        """Probability that a word is selected although it does not begin in the budget. [W]."""
        length = pieces.free_lengths[words.piece]
        return np.maximum(words.size - due(self.rate, length), 0) / length

    def _share(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        """(selected tokens beyond those expected, plus the rate's; tokens) of each piece."""
        words, length = Words.of(pieces), pieces.free_lengths
        spare = np.bincount(
            words.piece, weights=self._spare(pieces, words) * words.size, minlength=pieces.count
        )
        taken = counts_of(pieces.piece[chosen.index], pieces.count)
        beyond = taken - spare - due(self.rate, length) + self.rate * length
        return np.stack([beyond, length], axis=1)[length > 0]

    def _words(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        """The same, with words counted."""
        words, length = Words.of(pieces), pieces.free_lengths
        chance = due(self.rate, length)[words.piece] / length[words.piece]
        beyond = (words.taken(chosen, pieces) > 0) - chance - self._spare(pieces, words) + self.rate
        total = np.bincount(words.piece, weights=beyond, minlength=pieces.count)
        return np.stack([total, words.count], axis=1)[words.count > 0]

    def _place(self, pieces: Pieces, chosen: Chosen) -> np.ndarray:
        """(sum of the places of the selected words, their number) where none was guaranteed."""
        words = Words.of(pieces)
        place = (words.rank + 0.5) / words.count[words.piece]
        hit = words.taken(chosen, pieces) > 0
        total = np.bincount(words.piece, weights=hit * place, minlength=pieces.count)
        number = counts_of(words.piece, pieces.count, hit)
        sure = counts_of(words.piece, pieces.count, self._spare(pieces, words) > 0) == 0
        return np.stack([total, number], axis=1)[sure & (number > 0)]
