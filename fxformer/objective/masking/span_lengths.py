"""Distributions of span lengths from 1 to a greatest length."""

import abc
import dataclasses
from typing import Annotated

import numpy as np

from fxformer.objective.counter_rng import CounterRNG
from fxformer.types import Count, Range


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
