"""Character offsets of tokens in the text as it was given."""

import dataclasses
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

SPACED = re.compile(r"\S+")


@dataclasses.dataclass(frozen=True)
class TokenOffsets:
    """Token ids of a text with the characters that each stands for.

    ids: [n] int32, as `Tokenizer.encode` gives them
    start, end: [n] int64, half-open character range of each token in the text, without white space
        at its ends; start == end where a token stands for no character (an added prefix)
    word: [n] int64, number of the word of the tokenizer's own pre-tokenization; otherwise of the
        stretch without white space
    """

    ids: Int[np.ndarray, "n"]
    start: Int[np.ndarray, "n"]
    end: Int[np.ndarray, "n"]
    word: Int[np.ndarray, "n"]


def token_offsets(
    text: str,
    ids: np.ndarray,
    spans: Sequence[tuple[int, int]] | np.ndarray,
    word: Sequence[int | None] | None = None,
) -> TokenOffsets:
    """TokenOffsets of half-open ranges that may include white space at their ends."""
    pairs = np.asarray(spans, np.int64).reshape(-1, 2)
    trimmed = np.array([_trimmed(text, low, high) for low, high in pairs], np.int64).reshape(-1, 2)
    start, end = trimmed[:, 0], trimmed[:, 1]
    if word is None:
        begins = np.array([match.start() for match in SPACED.finditer(text)], np.int64)
        number = np.searchsorted(begins, start, side="right") - 1
    else:
        number = np.array([-1 if one is None else one for one in word], np.int64)
    return TokenOffsets(np.asarray(ids, np.int32), start, end, number)


def _trimmed(text: str, low: int, high: int) -> tuple[int, int]:
    """A range without white space at its ends, unless it holds nothing else."""
    part = text[low:high]
    bare = part.strip()
    if not bare:
        return int(low), int(high)
    low += len(part) - len(part.lstrip())
    return int(low), int(low) + len(bare)


@dataclasses.dataclass(frozen=True)
class MappedText:
    """A text after changes, with the character range of the original that each character is from.

    start, end: [len(text)] int64
    """

    text: str
    start: Int[np.ndarray, "c"]
    end: Int[np.ndarray, "c"]

    @classmethod
    def of(cls, text: str) -> "MappedText":
        """A text without changes."""
        at = np.arange(len(text))
        return cls(text, at, at + 1)

    def squeezed(self) -> "MappedText":
        """One space for each run of white space, none at the ends."""
        kept: list[int] = []
        for match in SPACED.finditer(self.text):
            kept += [match.start() - 1] if kept else []
            kept += range(match.start(), match.end())
        letters = "".join(" " if self.text[i].isspace() else self.text[i] for i in kept)
        return MappedText(letters, self.start[kept], self.end[kept])

    def replaced(self, old: str, new: str) -> "MappedText":
        """str.replace with a replacement of one character."""
        parts, start, end, at = [], [], [], 0
        while at < len(self.text):
            width = len(old) if self.text.startswith(old, at) else 1
            parts.append(new if width == len(old) and width > 1 else self.text[at])
            start.append(self.start[at])
            end.append(self.end[at + width - 1])
            at += width
        return MappedText("".join(parts), np.array(start, np.int64), np.array(end, np.int64))

    def without_accents(self) -> "MappedText":
        """NFKD without combining characters."""
        return self._by_character(
            lambda one: "".join(
                c for c in unicodedata.normalize("NFKD", one) if not unicodedata.combining(c)
            )
        )

    def lowered(self) -> "MappedText":
        """str.lower, whose final sigma depends on the letters before it."""
        whole = self.text.lower()
        made = self._by_character(str.lower)
        return MappedText(whole, made.start, made.end) if len(whole) == len(made.text) else made

    def spans(self, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Half-open ranges of this text as ranges of the original."""
        found = []
        for low, high in ranges:
            if low < high:
                found.append((int(self.start[low]), int(self.end[high - 1])))
            else:
                at = int(self.end[low - 1]) if low else 0
                found.append((at, at))
        return found

    def _by_character(self, change) -> "MappedText":
        made = [change(one) for one in self.text]
        index = np.repeat(np.arange(len(made)), [len(one) for one in made])
        return MappedText("".join(made), self.start[index], self.end[index])
