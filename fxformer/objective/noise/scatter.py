"""Text infilling as in a Flax collator: spans begin anywhere, one budget for the whole batch."""

import dataclasses
import functools
from typing import cast

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.errors import UserError
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.noise.base import Noise
from fxformer.objective.noise.overlap import (
    covered,
    marked,
    more_than,
)
from fxformer.objective.pieces import Pieces
from fxformer.types import Positive, Rate


@dataclasses.dataclass(frozen=True)
class ScatteredInfilling(Noise):
    """A span of Poisson(length) tokens begins at each token with probability rate / length.

    This is what a budget of rate·N tokens for a whole batch of N comes to for a single piece: the
    batch is large, so where a span begins says next to nothing about the others, and the draw of a
    piece can depend on the piece alone. Spans may overlap and so hide less than `rate`: 26.6 % of
    512 tokens at 0.3 and 3. Spans of length 0 are dropped, and a run of hidden tokens shows one
    mask. For models that were trained so; TextInfilling is what the paper says.

    rate: share of the tokens that spans would hide if none overlapped
    length: mean of the Poisson distribution, the dropped ones included
    """

    rate: Rate = 0.3
    length: Positive = 3.0
    needs = ("mask",)

    def __post_init__(self):
        if self.length < 1:
            raise UserError(
                f"spans of {self.length:g} tokens on average: below 1 there are more spans than "
                "tokens to hide; write length=3, or use TextInfilling, which allows it"
            )

    def __call__(self, pieces: Pieces, draws: CounterRNG, vocabulary: Vocabulary) -> Pieces:
        """The pieces with each run of hidden tokens replaced by a mask."""
        free = np.flatnonzero(pieces.free)
        piece, keys = pieces.piece[free], draws.at(pieces.piece[free])
        ranks = pieces.ranks[free]
        begins = keys.uniform("begin", ranks) < self.rate / self.length
        length = begins * keys.poisson("length", self.length, ranks)
        hidden = covered(free, piece, length) | (length > 0)
        before = np.append(False, hidden[:-1] & (piece[1:] == piece[:-1]))[: len(free)]
        gone = np.zeros(len(pieces.tokens), bool)
        gone[free] = hidden
        at = free[hidden & ~before]
        mask = cast(int, vocabulary.mask)
        return marked(pieces, at, gone, np.zeros(len(at), bool), mask)

    def fill(self, size: int, vocabulary: Vocabulary) -> list[int]:
        """One mask for all."""
        return [cast(int, vocabulary.mask)]

    def expected(self, number: int) -> tuple[float, float]:
        """(hidden tokens, marks) expected in a piece of so many ordinary tokens."""
        return _expected(number, self.rate / self.length, self.length)


@functools.lru_cache(maxsize=65536)
def _expected(number: int, begin: float, mean: float) -> tuple[float, float]:
    """Token i is kept if no span that began j tokens before has more than j: the product over
    j <= i of 1 - begin · P(length > j). A mark shows where a span begins after a kept token."""
    reach = 1 - begin * more_than(mean)
    factors = np.ones(number)
    factors[: len(reach)] = reach[:number]
    kept = np.cumprod(factors)
    marks = (1 - reach[0]) * (1 + kept[:-1].sum())
    return float(number - kept.sum()), float(marks)
