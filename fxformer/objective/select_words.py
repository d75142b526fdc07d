"""Whole-word masking: all tokens of a word are masked together, within a budget of tokens."""

import dataclasses
from typing import ClassVar

import numpy as np

from fxformer.batch import Limit
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.selected import Chosen
from fxformer.objective.masking.tokens import due
from fxformer.objective.pieces import Pieces
from fxformer.objective.words import Words, circle_limit, on_circle
from fxformer.types import Proportion


@dataclasses.dataclass(frozen=True)
class WholeWords:
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
    single: ClassVar[bool] = False

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Chosen:
        """The tokens of the chosen words, each word a unit."""
        budget = due(self.rate, pieces.free_lengths)
        words = Words.of(pieces, budget)
        which = np.flatnonzero(on_circle(words.piece, words.size, pieces, budget, draws))
        return words.tokens(which, pieces.ranks[words.first[which]], pieces)

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for."""
        return int(self.limit(length).room)

    def limit(self, length: int) -> Limit:
        """What a row of `length` tokens holds of them."""
        return circle_limit(self.rate, length)
