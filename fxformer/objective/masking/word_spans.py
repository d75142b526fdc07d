"""Span masking: sequences of words are masked together (SpanBERT, ALBERT)."""

import abc
import dataclasses
from typing import Annotated

import numpy as np

from fxformer.batch import Limit
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import EncoderMasking, Masked
from fxformer.objective.masking.tokens import due
from fxformer.objective.masking.whole_words import Words, circle_limit, on_circle
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import numbered, ranks_of
from fxformer.types import Count, Proportion, Range


class Lengths(abc.ABC):
    """A distribution of the lengths 1, 2, … longest."""

    @property
    @abc.abstractmethod
    def shares(self) -> np.ndarray:
        """P(length = 1), P(length = 2), …; they sum to 1. [longest] float64."""

    @property
    def mean(self) -> float:
        """The mean length."""
        return float(self.shares @ np.arange(1, len(self.shares) + 1))

    def draw(self, draws: CounterRNG, stream: str, position: np.ndarray | int = 0) -> np.ndarray:
        """One length for each key, by inversion. int64."""
        steps = np.cumsum(self.shares)
        steps[-1] = 1.0  # the sum may be a little less
        return 1 + np.searchsorted(steps, draws.uniform(stream, position), side="right")


@dataclasses.dataclass(frozen=True)
class Geometric(Lengths):
    """P(k) ∝ (1-success)^(k-1), k <= longest. Joshi et al. 2020 (SpanBERT), sec. 3.1: mean 3.80.

    What lies beyond the longest is drawn again (the distribution is renormalised), not cut to
    it, which would make the mean 4.46.
    """

    success: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 0.2
    longest: Count = 10

    @property
    def shares(self) -> np.ndarray:
        chance = (1 - self.success) ** np.arange(self.longest)
        return chance / chance.sum()


@dataclasses.dataclass(frozen=True)
class Harmonic(Lengths):
    """P(n) ∝ 1/n, n <= longest. Lan et al. 2020 (ALBERT), sec. 3: 6/11, 3/11, 2/11."""

    longest: Count = 3

    @property
    def shares(self) -> np.ndarray:
        chance = 1 / np.arange(1, self.longest + 1)
        return chance / chance.sum()


@dataclasses.dataclass(frozen=True)
class Spans(EncoderMasking):
    """Spans of whole words, B = max(1, round(rate·m)) of the m ordinary tokens of a piece in all.

    Joshi et al. 2020 (SpanBERT), sec. 3.1, and, with its own lengths, Lan et al. 2020 (ALBERT),
    sec. 3. The whole piece is cut into spans, one after the other, whose lengths in words are drawn
    from `lengths`; the last is cut to fit, and so is one of more than B tokens. Each span is then
    selected with probability B / m, whatever its length (see `on_circle`): the budget of tokens is
    met on average, fewer than 2·B are selected each time, and spans never overlap, though they may
    touch.

    The words are those of Unicode (UAX #29, see segmentation.py); of a word of more than B tokens
    each part of B is taken for a word.

    whole_words: false takes every token for a word
    """

    rate: Proportion = 0.15
    lengths: Lengths = Geometric()
    whole_words: bool = True

    def __call__(self, pieces: Pieces, draws: CounterRNG) -> Masked:
        """The tokens of the selected spans."""
        budget = due(self.rate, pieces.free_lengths)
        words = self.words(pieces)
        first, length = self._cut(words, budget, draws)
        before = np.append(0, np.cumsum(words.size))
        size = before[first + length] - before[first]
        chosen = on_circle(words.piece[first], size, pieces, budget, draws)
        first, length = first[chosen], length[chosen]
        span, step = numbered(length)
        number = ranks_of(words.piece[first], pieces.count)
        return words.tokens(first[span] + step, number[span])

    def words(self, pieces: Pieces) -> Words:
        """The words that spans are made of."""
        return Words.of(pieces, due(self.rate, pieces.free_lengths), whole=self.whole_words)

    def _cut(
        self, words: Words, budget: np.ndarray, draws: CounterRNG
    ) -> tuple[np.ndarray, np.ndarray]:
        """(first word, length in words) of the spans that each piece is cut into."""
        length = self.lengths.draw(draws.at(words.piece), "length", words.rank)
        length = np.minimum(length, longest(words, budget))
        first = chain(np.arange(len(length)) + length)
        return first, length[first]

    def capacity(self, length: int) -> int:
        """Targets a row of `length` tokens has room for."""
        return int(self.limit(length).room)

    def limit(self, length: int) -> Limit:
        """What a row of `length` tokens holds of them."""
        return circle_limit(self.rate, length)

    @property
    def _top(self) -> int:
        return len(self.lengths.shares)


def longest(words: Words, budget: np.ndarray) -> np.ndarray:
    """How many words a span that begins at each word can have: to the end of its piece, and not of
    more tokens than the budget. [W], at least 1."""
    upto = np.cumsum(words.size)
    reach = np.searchsorted(upto, upto - words.size + budget[words.piece], side="right")
    left = words.count[words.piece] - words.rank
    return np.minimum(reach - np.arange(len(upto)), left)


def chain(following: np.ndarray) -> np.ndarray:
    """0, following[0], following[following[0]], … up to the end, found in log n steps (pointer
    doubling). following: [n], each beyond its own index and n at most. int64, ascending."""
    count = len(following)
    reached = np.zeros(count + 1, bool)
    reached[0] = True
    jump = np.append(following, count)
    for _ in range(count.bit_length()):
        reached[jump[reached]] = True
        jump = jump[jump]
    return np.flatnonzero(reached[:count])
