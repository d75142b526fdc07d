"""Bytes as tokens: no training, no unknown text, 256 ids after the special ones."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from fxformer.data.specials import SpecialIds, Specials
from fxformer.data.tokenizer import Tokenizer, knobs
from fxformer.spelling import Letters, Spelling


class ByteTokenizer(Tokenizer):
    """id = byte of the UTF-8 text + number of special tokens (Xue et al. 2022, ByT5)."""

    def __init__(self, ids: SpecialIds, template: str):
        self.ids, self.template = ids, template
        self.offset = max(ids.all()) + 1
        self.vocabulary = ids.vocabulary([None] * self.offset + [bytes([b]) for b in range(256)])

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32) + self.offset

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
