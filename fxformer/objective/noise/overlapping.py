"""Text infilling as in fairseq's BART: a budget for each piece, and spans that overlap."""

import dataclasses
import functools
import math
from typing import cast

import numpy as np
from scipy import special

from fxformer.batch import Vocabulary
from fxformer.errors import UserError
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.noise.base import Noise
from fxformer.objective.noise.overlap import covered, marked
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, numbered, ranks_of, smallest
from fxformer.types import Positive, Rate


@dataclasses.dataclass(frozen=True)
class OverlappingInfilling(Noise):
    """Spans of B tokens in all begin at distinct random tokens and may overlap.

    B = floor(rate·m + u) of the m ordinary tokens of a piece, in K = floor(B / length + u') spans
    (one at least) whose lengths are Poisson(length) given that they sum to B, which makes them
    multinomial. Where they overlap less is hidden than B: 26.7 % of 512 tokens at 0.3 and 3. A span
    that begins inside another shows no mark; one of length 0 inserts a mask. For models that were
    trained so; TextInfilling is what the paper says.

    rate: share of the tokens that the spans would hide if none overlapped
    length: mean of the Poisson distribution
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
        """The pieces with spans replaced by masks."""
        free = np.flatnonzero(pieces.free)
        piece, number = pieces.piece[free], pieces.free_lengths
        budget = np.floor(self.rate * number + draws.uniform("budget")).astype(np.int64)
        spans = np.floor(budget / self.length + draws.uniform("spans")).astype(np.int64)
        spans = np.where(budget > 0, np.clip(spans, 1, number), 0)
        lots = draws.at(piece).bits("begin", ranks_of(piece, pieces.count))
        chosen = smallest(piece, lots, spans)  # in random order, so lengths may come in any
        begins, length = np.zeros(len(free), bool), np.zeros(len(free), np.int64)
        begins[chosen] = True
        length[chosen] = self._lengths(budget, spans, draws)
        inside = covered(free, piece, length)
        gone = np.zeros(len(pieces.tokens), bool)
        gone[free] = inside | (length > 0)
        shown = begins & ~inside
        mask = cast(int, vocabulary.mask)
        return marked(pieces, free[shown], gone, (length == 0)[shown], mask)

    def fill(self, size: int, vocabulary: Vocabulary) -> list[int]:
        """One mask for all."""
        return [cast(int, vocabulary.mask)]

    def growth(self, length: int) -> int:
        """Masks of empty spans, of which a row has more than this once in 1e9; none are needed for
        a mean of 2 or more, where there are always fewer spans than hidden tokens."""
        if self.length >= 2:
            return 0
        spans = math.ceil(self.rate * length / self.length) + 1
        more = special.bdtrc(np.arange(spans), spans, math.exp(-self.length))
        return int(np.argmax(more < 1e-9)) if (more < 1e-9).any() else spans

    def expected(self, number: int) -> tuple[float, float]:
        """(hidden tokens, marks) expected in a piece of so many ordinary tokens."""
        total = np.zeros(2)
        for budget, chance in _either(self.rate * number):
            for spans, share in _either(budget / self.length):
                if budget:
                    count = min(max(spans, 1), number)
                    total += chance * share * np.array(_expected(number, budget, count))
        return float(total[0]), float(total[1])

    def _lengths(self, budget: np.ndarray, spans: np.ndarray, draws: CounterRNG) -> np.ndarray:
        """Each token of a budget goes to one of the spans. [sum of spans] int64."""
        owner, rank = numbered(budget)
        span = draws.at(owner).below("length", spans[owner], rank)
        return counts_of((np.cumsum(spans) - spans)[owner] + span, int(spans.sum()))


def _either(value: float) -> tuple[tuple[int, float], tuple[int, float]]:
    """floor(value + u) with u uniform: the two whole numbers and their probabilities."""
    low = math.floor(value)
    return (low, 1 - (value - low)), (low + 1, value - low)


@functools.lru_cache(maxsize=65536)
def _expected(number: int, budget: int, spans: int) -> tuple[float, float]:
    """Hidden tokens and marks, exactly, for B tokens in K spans among m tokens.

    Token i is kept if, for each j, the token j before it begins no span of more than j. The sums
    run over which of these tokens begin a span and how long those are.
    """
    kept = _untouched(number, budget, spans, first=0)
    # one of the others may not cover where a span begins: they are at j >= 1
    shown = _untouched(number, budget, spans, first=1)
    return float(number - kept.sum()), float(spans / number * shown.sum())


def _untouched(number: int, budget: int, spans: int, first: int) -> np.ndarray:
    """P(no span covers token i) for each i < m; with first=1, given that a span begins there.

    weight[t, s]: sum over the ways that t of the tokens at j = first … now begin spans of s tokens
    in all, none longer than its j, of the product of 1 / length!
    """
    window = min(number, budget + 1, 1 + _longest(budget, spans))
    most = min(spans, window)
    weight = np.zeros((most + 1, budget + 1))
    weight[0, 0] = 1
    result = np.ones(number)
    for j in range(window):
        if j >= first:
            grown = weight.copy()
            for size in range(min(j, budget) + 1):
                share = 1 / math.factorial(size)
                grown[1:, size:] += share * weight[:-1, : budget + 1 - size]
            weight = grown
        result[j:] = _total(weight, number - first, budget, spans, j + 1 - first, first)
    return result


def _total(weight, places: int, budget: int, spans: int, window: int, given: int) -> float:
    """Weights turned to a probability: t of the K spans begin in the window, the others outside."""
    t, s = np.indices(weight.shape)
    others, outside = spans - given, places - window
    possible = (t <= others) & (others - t <= outside) & (weight > 0)
    t, s = t[possible], s[possible]
    begins = _log_choose(outside, others - t) - _log_choose(places, others)
    falling = special.gammaln(budget + 1) - special.gammaln(budget - s + 1)
    rest = special.xlogy(budget - s, 1 - t / spans) - s * math.log(spans)
    return float((weight[possible] * np.exp(begins + falling + rest)).sum())


def _log_choose(n, k):
    return special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)


def _longest(budget: int, spans: int) -> int:
    """A length that a span exceeds once in 1e12."""
    tail = special.bdtrc(np.arange(budget + 1), budget, 1 / spans)
    return int(np.argmax(tail < 1e-12)) if (tail < 1e-12).any() else budget
