"""How tokens are spelt, exactly: what lets a text be cut between any two of its characters."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from fxformer.ranges import ranges

Encode = Callable[[list[str]], list[np.ndarray]]


class TokenText:
    """The bytes of every token, such that those of a text are those of its tokens joined.

    spelt: [V], the UTF-8 of each token; None for one that has none (special tokens, unk)
    flat, first, size: uint8 and [V] int64, the same as arrays; size is -1 where there is none
    """

    def __init__(self, spelt: Sequence[bytes | None]):
        self.size = np.array([-1 if one is None else len(one) for one in spelt], np.int64)
        self.flat = np.frombuffer(b"".join(one or b"" for one in spelt), np.uint8)
        self.first = np.cumsum(np.maximum(self.size, 0)) - np.maximum(self.size, 0)
        digest = hashlib.blake2b(self.flat.tobytes() + self.size.tobytes(), digest_size=16)
        self._digest = digest.hexdigest()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._digest})"

    def __deepcopy__(self, memo: dict) -> Self:
        return self  # it never changes, and a tokenizer need not be one that can be copied

    def bytes_of(self, tokens: np.ndarray) -> np.ndarray:
        """The bytes of these tokens, joined. uint8."""
        size = np.maximum(self.size[tokens], 0)
        return self.flat[ranges(self.first[tokens], size)]


class Spelling(TokenText):
    """The text of tokens that give back every text exactly, and the tokenizer's own encoding of any
    string, which gives back exactly its bytes.

    encode: texts -> ids of each, as the tokenizer cuts them, nothing added or normalised
    starts: [V] int64, how many characters begin in a token
    single: [256] int64, the token of each byte alone; -1 where there is none
    """

    def __init__(self, spelt: Sequence[bytes | None], encode: Encode):
        super().__init__(spelt)
        self.encode = encode
        begun = np.append(0, np.cumsum(begins(self.flat)))
        self.starts = begun[self.first + np.maximum(self.size, 0)] - begun[self.first]
        self.single = np.full(256, -1, np.int64)
        for token in np.flatnonzero(self.size == 1)[::-1]:
            self.single[self.flat[self.first[token]]] = token

    def encode_bytes(self, parts: Sequence[bytes]) -> list[np.ndarray | None]:
        """The tokens of each part: what is whole in it as the tokenizer cuts it, and one for each
        byte of a character that the part has only the end, or the beginning, of. A part that
        cannot be spelt so (no such tokens, bytes that are no UTF-8) gives None."""
        edges = [_whole(part) for part in parts]
        texts, sound = [], []
        for part, (low, high) in zip(parts, edges, strict=True):
            try:
                texts.append(part[low:high].decode())
                sound.append(True)
            except UnicodeDecodeError:
                texts.append("")
                sound.append(False)
        cut = self.encode(texts)
        return [
            self._joined(part, edge, ids) if fine else None
            for part, edge, ids, fine in zip(parts, edges, cut, sound, strict=True)
        ]

    def _joined(self, part: bytes, edge: tuple[int, int], ids: np.ndarray) -> np.ndarray | None:
        low, high = edge
        if not low and high == len(part):
            return ids
        sides = [self.single[np.frombuffer(side, np.uint8)] for side in (part[:low], part[high:])]
        if min(side.min(initial=0) for side in sides) < 0:
            return None
        return np.concatenate([sides[0], ids, sides[1]]).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Letters:
    """`Spelling.encode` for tokens that are bytes or characters: there is one way to cut.

    encode_one: text -> ids
    """

    encode_one: Callable[[str], np.ndarray]

    def __call__(self, texts: list[str]) -> list[np.ndarray]:
        return [self.encode_one(text) for text in texts]


def begins(data: np.ndarray) -> np.ndarray:
    """Whether a character begins at each byte of UTF-8. bool."""
    return (data & 0xC0) != 0x80


def _whole(part: bytes) -> tuple[int, int]:
    """The part from its first character's first byte to its last whole character's last byte."""
    low = 0
    while low < len(part) and part[low] & 0xC0 == 0x80:
        low += 1
    for back in range(1, min(4, len(part) - low) + 1):
        lead = part[-back]
        if lead & 0xC0 != 0x80:
            needed = 1 + (lead >= 0xC0) + (lead >= 0xE0) + (lead >= 0xF0)
            return low, len(part) - (back if needed > back else 0)
    return low, len(part)
