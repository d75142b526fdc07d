"""Two tokenizers for pairs of texts: one reads the sources, the other reads and writes targets."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import ClassVar

from fxformer.data.text_pairs import SourceText
from fxformer.data.tokenizer import Recipe, Tokenizer


@dataclasses.dataclass(frozen=True)
class Pair:
    """Recipe of a tokenizer of targets that has another one for sources (`Tokenizer.source`).

    source, target: each made from its side of the pairs; of a tokenizer that is itself of two, the
        same side is taken
    """

    source: Recipe
    target: Recipe

    two_tokenizers: ClassVar[bool] = True

    def key(self) -> str:
        return json.dumps(["Pair", self.source.key(), self.target.key()])

    def make(self, documents: Iterable[str]) -> Tokenizer:
        made = self.target.make(_Side(documents, sources=False))
        made.source = self.source.make(_Side(documents, sources=True)).of_source
        return made


class _Side:
    """The texts of one side, which may be read again and again."""

    def __init__(self, documents: Iterable[str], *, sources: bool):
        self._documents, self._sources = documents, sources

    def __iter__(self) -> Iterator[str]:
        for text in self._documents:
            if isinstance(text, SourceText) == self._sources:
                yield text
