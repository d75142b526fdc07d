"""Copy, reverse, sort: pairs of sequences where every answer is either right or wrong."""

import dataclasses
from abc import abstractmethod

import numpy as np

from fxformer.data.documents import Documents, join
from fxformer.data.symbols import SymbolCorpus
from fxformer.errors import UserError
from fxformer.types import Count


@dataclasses.dataclass(kw_only=True)
class Sequences(SymbolCorpus):
    """A source of uniform symbols, of uniform length from shortest to longest, and its answer.

    Packed as pairs, both sides end in eos.
    """

    shortest: Count
    longest: Count

    template = "{text} {eos}"

    def __post_init__(self) -> None:
        if self.shortest > self.longest:
            raise UserError(f"data.shortest={self.shortest} > data.longest={self.longest}")

    @abstractmethod
    def answer(self, source: np.ndarray) -> np.ndarray:
        """The right answer to a source, [n] to [n]."""

    def size(self, count: int) -> int:
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
    """The answer is the source."""

    def answer(self, source: np.ndarray) -> np.ndarray:
        return source


@dataclasses.dataclass(kw_only=True)
class Reverse(Sequences):
    """The answer is the source backwards: nothing a model without positions can know."""

    def answer(self, source: np.ndarray) -> np.ndarray:
        return source[::-1]


@dataclasses.dataclass(kw_only=True)
class Sort(Sequences):
    """The answer is the source in rising order."""

    def answer(self, source: np.ndarray) -> np.ndarray:
        return np.sort(source)
