"""Corpora that are made, not found: token ids drawn by a rule whose best possible loss is known."""

import dataclasses
from abc import abstractmethod

import numpy as np

from fxformer import memory
from fxformer.data.corpus import Corpus, Source, hash_of, symbols_in
from fxformer.data.documents import Documents
from fxformer.data.tokenizer_symbols import SymbolTokenizer
from fxformer.types import Count, Natural


@dataclasses.dataclass(kw_only=True)
class SymbolCorpus(Corpus):
    """Symbols 0 … symbols - 1 have the ids 5 … symbols + 4; the configured tokenizer is not asked.

    examples, valid_examples: how many are drawn
    data_seed: of the draw; the seed of a run does not change its data
    """

    symbols: Count
    examples: Count
    valid_examples: Count
    data_seed: Natural = 0

    template = "{text}"  # nothing is put around an example

    @abstractmethod
    def generate(self, rng: np.random.Generator, count: int, first_id: int) -> Documents:
        """`count` examples; symbol s is written as first_id + s."""

    @abstractmethod
    def size(self, count: int) -> int:
        """Bytes that making `count` examples takes at least."""

    def notes(self) -> dict:
        """What is known about the task, for the facts."""
        return {}

    def open(self) -> Source:
        if self.tokenizer is not None:
            self.tokenizer.key()  # ValueError where it could not be followed, though nobody asks
        tokenizer = SymbolTokenizer(self.symbols, self.template)
        counts = {"train": self.examples, "valid": self.valid_examples}
        for key, count in (("examples", self.examples), ("valid_examples", self.valid_examples)):
            what = f"{count} examples of {self.symbols} symbols"
            memory.require(self.size(count), f"data.{key}", what)
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
