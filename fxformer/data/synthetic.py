"""Synthetic tasks on symbols: copy, reverse, sort, associative recall and a Markov chain."""

import dataclasses
import functools
from abc import abstractmethod
from typing import Annotated

import numpy as np

from fxformer import memory
from fxformer.data.corpus import Corpus, Source, hash_of, symbols_in
from fxformer.data.documents import Documents, join
from fxformer.data.tokenizer_basic import SymbolTokenizer
from fxformer.errors import UserError
from fxformer.types import Count, Natural, Positive, Range


@dataclasses.dataclass(kw_only=True)
class SymbolCorpus(Corpus):
    """Corpus of synthetic examples over an alphabet of symbols, whose best possible loss is known.

    Symbols 0 … symbols - 1 have the ids 5 … symbols + 4; the configured tokenizer is not used.

    examples, valid_examples: number of examples in the train and the valid split
    data_seed: seed of the examples, so that the seed of a run does not change its data
    """

    symbols: Count
    examples: Count
    valid_examples: Count
    data_seed: Natural = 0

    template = "{text}"  # no special tokens around an example

    @abstractmethod
    def generate(self, rng: np.random.Generator, count: int, first_id: int) -> Documents:
        """Draw `count` examples; symbol s has the id first_id + s."""

    @abstractmethod
    def min_bytes(self, count: int) -> int:
        """Lower bound of the memory, in bytes, that `count` examples take."""

    def notes(self) -> dict:
        """Properties of the task for the facts of the corpus, e.g. its entropy."""
        return {}

    def open(self) -> Source:
        if self.tokenizer is not None:
            self.tokenizer.key()  # raises UserError for a tokenizer that could not be built
        tokenizer = SymbolTokenizer(self.symbols, self.template)
        counts = {"train": self.examples, "valid": self.valid_examples}
        for key, count in (("examples", self.examples), ("valid_examples", self.valid_examples)):
            what = f"{count} examples of {self.symbols} symbols"
            memory.require(self.min_bytes(count), f"data.{key}", what)
        splits = {
            split: self.generate(
                np.random.default_rng([self.data_seed, i]), count, tokenizer.offset
            )
            for i, (split, count) in enumerate(counts.items())
        }
        content = [part for d in splits.values() for part in (d.tokens, d.bounds, d.source)]
        facts = {"corpus": type(self).__name__, "corpus_hash": hash_of(*content)}
        facts |= {split: symbols_in(documents) for split, documents in splits.items()}
        return Source(tokenizer, splits, facts | self.notes())


@dataclasses.dataclass(kw_only=True)
class Sequences(SymbolCorpus):
    """Pairs of a source and its answer, a function of the source.

    A source has uniform symbols and a uniform length from `shortest` to `longest`. Packed as pairs,
    both sides end in eos.
    """

    shortest: Count
    longest: Count

    template = "{text} {eos}"

    def __post_init__(self) -> None:
        if self.shortest > self.longest:
            raise UserError(f"data.shortest={self.shortest} > data.longest={self.longest}")

    @abstractmethod
    def answer(self, source: np.ndarray) -> np.ndarray:
        """Answer to a source: int array [n] -> [n]."""

    def min_bytes(self, count: int) -> int:
        return 16 * count * self.longest

    def generate(self, rng: np.random.Generator, count: int, first_id: int) -> Documents:
        lengths = rng.integers(self.shortest, self.longest + 1, count)
        draws = rng.integers(0, self.symbols, (count, self.longest)) + first_id
        sources = [draw[:length] for draw, length in zip(draws, lengths, strict=True)]
        source, source_bounds = join(sources)
        tokens, bounds = join([self.answer(one) for one in sources])
        return Documents(tokens, bounds, source=source, source_bounds=source_bounds)


@dataclasses.dataclass(kw_only=True)
class Copy(Sequences):
    """Copy task: the answer is the source."""

    def answer(self, source: np.ndarray) -> np.ndarray:
        return source


@dataclasses.dataclass(kw_only=True)
class Reverse(Sequences):
    """Reversal task: the answer is the reversed source; unsolvable without positions."""

    def answer(self, source: np.ndarray) -> np.ndarray:
        return source[::-1]


@dataclasses.dataclass(kw_only=True)
class Sort(Sequences):
    """Sorting task: the answer is the source in ascending order."""

    def answer(self, source: np.ndarray) -> np.ndarray:
        return np.sort(source)


@dataclasses.dataclass(kw_only=True)
class AssociativeRecall(SymbolCorpus):
    """Multi-query associative recall (Arora et al. 2023); solving it takes two attention layers.

    An example is `pairs` times (key, value), then every key once more in another order, each
    followed by its value; only the values of this second part are scored. The first half of the
    symbols are keys, the other half values; the keys of an example are distinct.
    """

    pairs: Count

    def __post_init__(self) -> None:
        if self.pairs > self.symbols // 2:
            raise UserError(
                f"data.pairs={self.pairs} distinct keys do not fit into half of "
                f"data.symbols={self.symbols}: at most {self.symbols // 2}"
            )

    def min_bytes(self, count: int) -> int:
        return 8 * count * (self.symbols + 4 * self.pairs)

    def generate(self, rng: np.random.Generator, count: int, first_id: int) -> Documents:
        keys = rng.permuted(np.tile(np.arange(self.symbols // 2), (count, 1)), axis=1)
        keys = keys[:, : self.pairs]
        values = rng.integers(self.symbols // 2, self.symbols, keys.shape)
        query_order = rng.permuted(np.tile(np.arange(self.pairs), (count, 1)), axis=1)
        queries = [np.take_along_axis(part, query_order, 1) for part in (keys, values)]
        halves = [np.stack(both, -1).reshape(count, -1) for both in ((keys, values), queries)]
        tokens = np.concatenate(halves, 1).astype(np.int32) + np.int32(first_id)
        position = np.arange(tokens.shape[1])
        scored = np.broadcast_to((position >= 2 * self.pairs) & (position % 2 == 1), tokens.shape)
        bounds = np.arange(count + 1, dtype=np.int64) * tokens.shape[1]
        return Documents(tokens.ravel(), bounds, scored.ravel())


@dataclasses.dataclass(kw_only=True)
class Markov(SymbolCorpus):
    """First-order Markov chain: P(x_t | x_1 … x_{t-1}) = transitions[x_{t-1}, x_t].

    x_1 is drawn from the stationary distribution. No next-symbol model can have a loss below
    `entropy_rate` (over enough symbols) unless it sees what it predicts. The bound of bidirectional
    models follows from `posterior`.

    example_length: symbols in an example
    concentration: of the Dirichlet distribution of the rows of `transitions`; smaller is more
        predictable
    """

    symbols: Annotated[
        int, Range(1, 4096)
    ]  # solving for the stationary distribution is O(symbols³)
    example_length: Count
    concentration: Positive = 0.3

    @functools.cached_property
    def transitions(self) -> np.ndarray:
        """Transition matrix [K, K] float64, rows sum to 1; mixed with 2 % uniform, so none is 0."""
        rng = np.random.default_rng([self.data_seed, 1000])
        drawn = rng.dirichlet(np.full(self.symbols, self.concentration), self.symbols)
        return 0.98 * drawn + 0.02 / self.symbols

    @functools.cached_property
    def stationary(self) -> np.ndarray:
        """Stationary distribution [K] float64: p = p @ transitions."""
        size = self.symbols
        equations = np.vstack([self.transitions.T - np.eye(size), np.ones(size)])
        return np.linalg.lstsq(equations, np.r_[np.zeros(size), 1.0], rcond=None)[0]

    def entropy_rate(self) -> float:
        """Entropy rate in nats per symbol: -sum_i p_i sum_j T_ij log T_ij."""
        T = self.transitions
        return float(-(self.stationary @ (T * np.log(T)).sum(1)))

    def unigram_entropy(self) -> float:
        """Entropy of the stationary distribution, in nats per symbol."""
        return float(-(self.stationary * np.log(self.stationary)).sum())

    def posterior(self, evidence: np.ndarray) -> np.ndarray:
        """Exact P(x_t | all evidence) by the forward-backward algorithm: [n, K], rows sum to 1.

        evidence: [n, K], likelihood of the observation at each position given the symbol there: a
            row of ones where it is masked, one-hot where it is visible
        """
        forward, backward = np.empty_like(evidence, float), np.ones_like(evidence, float)
        prior = self.stationary
        for t, likelihood in enumerate(evidence):
            forward[t] = prior * likelihood / (prior @ likelihood)
            prior = forward[t] @ self.transitions
        for t in range(len(evidence) - 2, -1, -1):
            message = self.transitions @ (evidence[t + 1] * backward[t + 1])
            backward[t] = message / message.sum()
        both = forward * backward
        return both / both.sum(1, keepdims=True)

    def notes(self) -> dict:
        return {"entropy_rate": self.entropy_rate(), "unigram_entropy": self.unigram_entropy()}

    def min_bytes(self, count: int) -> int:
        return 8 * count * (self.symbols + self.example_length)

    def generate(self, rng: np.random.Generator, count: int, first_id: int) -> Documents:
        # All examples advance together; symbols are drawn by inverse transform sampling.
        edges = np.cumsum(self.transitions, 1)
        state = rng.choice(self.symbols, count, p=self.stationary / self.stationary.sum())
        drawn = np.empty((count, self.example_length), np.int32)
        for t in range(self.example_length):
            drawn[:, t] = state
            state = (rng.random((count, 1)) > edges[state]).sum(1).clip(max=self.symbols - 1)
        bounds = np.arange(count + 1, dtype=np.int64) * self.example_length
        return Documents(drawn.ravel() + np.int32(first_id), bounds)
