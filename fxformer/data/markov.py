"""A Markov chain of order 1: text whose entropy is known to the last digit."""

import dataclasses
import functools
from typing import Annotated

import numpy as np

from fxformer.data.documents import Documents
from fxformer.data.symbols import SymbolCorpus
from fxformer.types import Count, Positive, Range


@dataclasses.dataclass(kw_only=True)
class Markov(SymbolCorpus):
    """P(x_t | x_1 … x_{t-1}) = transitions[x_{t-1}, x_t], and x_1 is drawn from the stationary law.

    No model of the next symbol can have a loss below `entropy_rate` (over enough symbols): one that
    does has seen what it should predict. Bidirectional models have a floor of their own:
    `posterior`.

    example_length: symbols in an example
    concentration: of the Dirichlet law the rows of `transitions` are drawn from; smaller is more
        predictable
    """

    symbols: Annotated[int, Range(1, 4096)]  # solving for the stationary law is O(symbols³)
    example_length: Count
    concentration: Positive = 0.3

    @functools.cached_property
    def transitions(self) -> np.ndarray:
        """[K, K] float64, rows sum to 1. A little of the uniform law keeps every step possible."""
        rng = np.random.default_rng([self.data_seed, 1000])
        drawn = rng.dirichlet(np.full(self.symbols, self.concentration), self.symbols)
        return 0.98 * drawn + 0.02 / self.symbols

    @functools.cached_property
    def stationary(self) -> np.ndarray:
        """[K] float64, the law p with p = p @ transitions."""
        size = self.symbols
        equations = np.vstack([self.transitions.T - np.eye(size), np.ones(size)])
        return np.linalg.lstsq(equations, np.r_[np.zeros(size), 1.0], rcond=None)[0]

    def entropy_rate(self) -> float:
        """Nats per symbol: -sum_i p_i sum_j T_ij log T_ij."""
        T = self.transitions
        return float(-(self.stationary @ (T * np.log(T)).sum(1)))

    def unigram_entropy(self) -> float:
        """Nats per symbol of a model that knows frequencies only."""
        return float(-(self.stationary * np.log(self.stationary)).sum())

    def posterior(self, evidence: np.ndarray) -> np.ndarray:
        """P(x_t | evidence at all places), exactly, by forward and backward passes.

        evidence: [n, K], likelihood of what is seen at each place given the symbol there: a row of
        ones where nothing is seen, one-hot where the symbol is. Returns [n, K], rows sum to 1.
        """
        forward, backward = np.empty_like(evidence, float), np.ones_like(evidence, float)
        law = self.stationary
        for t, seen in enumerate(evidence):
            forward[t] = law * seen / (law @ seen)
            law = forward[t] @ self.transitions
        for t in range(len(evidence) - 2, -1, -1):
            message = self.transitions @ (evidence[t + 1] * backward[t + 1])
            backward[t] = message / message.sum()
        both = forward * backward
        return both / both.sum(1, keepdims=True)

    def notes(self) -> dict:
        return {"entropy_rate": self.entropy_rate(), "unigram_entropy": self.unigram_entropy()}

    def size(self, count: int) -> int:
        return 8 * count * (self.symbols + self.example_length)

    def generate(self, rng: np.random.Generator, count: int, first_id: int) -> Documents:
        # All examples go forward together; a symbol is drawn by inverting its cumulative law.
        edges = np.cumsum(self.transitions, 1)
        state = rng.choice(self.symbols, count, p=self.stationary / self.stationary.sum())
        drawn = np.empty((count, self.example_length), np.int32)
        for t in range(self.example_length):
            drawn[:, t] = state
            state = (rng.random((count, 1)) > edges[state]).sum(1).clip(max=self.symbols - 1)
        bounds = np.arange(count + 1, dtype=np.int64) * self.example_length
        return Documents(drawn.ravel() + np.int32(first_id), bounds)
