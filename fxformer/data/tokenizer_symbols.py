"""For data that is made of ids to begin with: an id is written as its number."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from fxformer.data.specials import SpecialIds, Specials
from fxformer.data.tokenizer import Tokenizer
from fxformer.errors import UserError


class SymbolTokenizer(Tokenizer):
    """The text "3 0 7" to ids and back: symbol s has id s + 5, after pad, unk, bos, eos, mask."""

    def __init__(self, symbols: int, template: str = "{text}", ids: SpecialIds | None = None):
        self.symbols, self.template = symbols, template
        self.ids = ids or Specials().ids()
        self.offset = max(self.ids.all()) + 1
        names = [f" {symbol}".encode() for symbol in range(symbols)]
        self.vocabulary = self.ids.vocabulary([None] * self.offset + names)

    def encode(self, text: str) -> np.ndarray:
        if not all(word.isdecimal() for word in text.split()):
            raise UserError(f"symbols are numbers such as 3 0 7: {text[:80]!r}")
        values = np.array([int(word) for word in text.split()], np.int32)
        if values.size and not (values.min() >= 0 and values.max() < self.symbols):
            raise UserError(f"symbols are numbers from 0 to {self.symbols - 1}: {text[:80]!r}")
        return values + self.offset

    def decode(self, ids: np.ndarray) -> str:
        values = np.asarray(ids) - self.offset
        return " ".join(str(v) for v in values[values >= 0])

    def files(self) -> dict[str, bytes]:
        return {"symbols.txt": str(self.symbols).encode()}

    @classmethod
    def from_files(cls, files, ids, template):
        return cls(int(files["symbols.txt"]), template, ids)


@dataclasses.dataclass(frozen=True)
class NoTokenizer:
    """Recipe for data that brings its own ids; text has no use for it."""

    def key(self) -> str:
        return "none"

    def make(self, documents: Iterable[str]) -> Tokenizer:
        raise UserError("tokenizer=none: this data is text and needs one, e.g. tokenizer=unigram")
