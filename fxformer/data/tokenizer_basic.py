"""Bytes as tokens: no training, no unknown text, 256 ids after the special ones."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import ClassVar, cast

import numpy as np

from fxformer.data.documents import SourceText
from fxformer.data.special_tokens import SpecialIds, Specials
from fxformer.data.token_offsets import SPACED, TokenOffsets, token_offsets
from fxformer.data.tokenizer import Recipe, Tokenizer, check_useful, knobs
from fxformer.errors import UserError
from fxformer.spelling import Letters, Spelling
from fxformer.types import Count


class ByteTokenizer(Tokenizer):
    """id = byte of the UTF-8 text + number of special tokens (Xue et al. 2022, ByT5)."""

    def __init__(self, ids: SpecialIds, template: str):
        self.ids, self.template = ids, template
        self.offset = max(ids.all()) + 1
        self.vocabulary = ids.vocabulary([None] * self.offset + [bytes([b]) for b in range(256)])

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32) + self.offset

    def encode_offsets(self, text: str) -> TokenOffsets:
        at = np.repeat(np.arange(len(text)), [len(one.encode()) for one in text])
        return token_offsets(text, self.encode(text), np.stack([at, at + 1], 1))

    def decode(self, ids: np.ndarray) -> str:
        values = np.asarray(ids) - self.offset
        return values[values >= 0].astype(np.uint8).tobytes().decode(errors="replace")

    def spelling(self) -> Spelling:
        letters = [bytes([b]) for b in range(256)]
        return Spelling([None] * self.offset + letters, Letters(self.encode))

    def files(self) -> dict[str, bytes]:
        return {}

    @classmethod
    def from_files(cls, files, ids, template):
        return cls(ids, template)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Byte:
    """Recipe of a ByteTokenizer."""

    specials: Specials
    template: str = "{bos} {text} {eos}"

    def key(self) -> str:
        return knobs(self)

    def make(self, documents: Iterable[str]) -> ByteTokenizer:
        return ByteTokenizer(self.specials.ids(), self.template)


class CharTokenizer(Tokenizer):
    """One id per Unicode character; a character never trained on becomes unk."""

    def __init__(self, characters: str, ids: SpecialIds, template: str):
        self.characters, self.ids, self.template = characters, ids, template
        self.offset = max(ids.all()) + 1
        self._points = _points(characters)
        letters = [letter.encode() for letter in characters]
        self.vocabulary = ids.vocabulary([None] * self.offset + letters)

    def encode(self, text: str) -> np.ndarray:
        points, unk = _points(text), cast(int, self.ids.unk)  # Specials always has one
        if not len(self._points):
            return np.full(len(points), unk, np.int32)
        at = np.minimum(np.searchsorted(self._points, points), len(self._points) - 1)
        known = self._points[at] == points
        return np.where(known, at + self.offset, unk).astype(np.int32)

    def encode_offsets(self, text: str) -> TokenOffsets:
        at = np.arange(len(text))
        return token_offsets(text, self.encode(text), np.stack([at, at + 1], 1))

    def decode(self, ids: np.ndarray) -> str:
        unk, first = self.ids.unk, self.offset
        letters = ("\ufffd" if i == unk else self.characters[i - first] for i in self.spoken(ids))
        return "".join(letters)

    def spelling(self) -> Spelling:
        letters = [letter.encode() for letter in self.characters]
        return Spelling([None] * self.offset + letters, Letters(self.encode))

    def files(self) -> dict[str, bytes]:
        return {"characters.txt": self.characters.encode()}

    @classmethod
    def from_files(cls, files, ids, template):
        return cls(files["characters.txt"].decode(), ids, template)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Char:
    """Recipe of a CharTokenizer: the most frequent characters, `vocab_size` ids with specials."""

    specials: Specials
    template: str = "{bos} {text} {eos}"
    vocab_size: Count = 4096
    at_most: ClassVar[bool] = True  # fewer characters than that are what one expects

    def key(self) -> str:
        return knobs(self)

    def make(self, documents: Iterable[str]) -> CharTokenizer:
        counts: Counter[str] = Counter()
        for document in documents:
            counts.update(document)
        room = self.vocab_size - len(self.specials.names())
        if room < 1:
            raise UserError(f"tokenizer.vocab_size={self.vocab_size} has no room for characters")
        kept = sorted(counts, key=lambda c: (-counts[c], c))[:room]
        made = CharTokenizer("".join(sorted(kept)), self.specials.ids(), self.template)
        return check_useful(made, "the training text is empty")


def _points(text: str) -> np.ndarray:
    """[n] uint32 code points."""
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


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

    def encode_offsets(self, text: str) -> TokenOffsets:
        spans = [match.span() for match in SPACED.finditer(text)]
        return token_offsets(text, self.encode(text), spans)

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
