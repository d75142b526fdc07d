"""Characters as tokens: the characters of the training text, sorted, after the special ones."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from fxformer.data.specials import SpecialIds, Specials
from fxformer.data.tokenizer import Tokenizer, check_useful, knobs
from fxformer.errors import UserError
from fxformer.spelling import Letters, Spelling
from fxformer.types import Count


class CharTokenizer(Tokenizer):
    """One id per Unicode character; a character never trained on becomes unk."""

    def __init__(self, characters: str, ids: SpecialIds, template: str):
        self.characters, self.ids, self.template = characters, ids, template
        self.offset = max(ids.all()) + 1
        self._points = _points(characters)
        letters = [letter.encode() for letter in characters]
        self.vocabulary = ids.vocabulary([None] * self.offset + letters)

    def encode(self, text: str) -> np.ndarray:
        points = _points(text)
        if not len(self._points):
            return np.full(len(points), self.ids.unk, np.int32)
        at = np.minimum(np.searchsorted(self._points, points), len(self._points) - 1)
        known = self._points[at] == points
        return np.where(known, at + self.offset, self.ids.unk).astype(np.int32)

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
