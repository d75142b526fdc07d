"""The characters that a sequence of tokens spells, and which token each is in."""

import dataclasses

import numpy as np

from fxformer.ranges import ranges
from fxformer.spelling import TokenText

_POINTS = 0x110000
_REPLACEMENT = 0xFFFD
_BREAK = 0x0A  # stands for a special token and for the border between two texts


@dataclasses.dataclass(frozen=True)
class Characters:
    """The c characters that n tokens spell, with a break before each text and in place of each
    special token.

    codes: [c] int64, code points
    first, last: [c] int64, the token that begins with a character, and the one its last byte is in;
        -1: none begins with it, or it is a break
    char, owner: [b] int64, of each byte, the character and the token (-1: of a break)
    """

    codes: np.ndarray
    first: np.ndarray
    last: np.ndarray
    char: np.ndarray
    owner: np.ndarray

    @classmethod
    def of(cls, text: TokenText, tokens: np.ndarray, new: np.ndarray) -> "Characters":
        """new: [n] bool, where a text begins."""
        size = text.size[tokens]
        width = np.where(size < 0, 1, size) + new
        begin = np.cumsum(width) - width
        data = np.full(int(width.sum()), _BREAK, np.uint8)
        data[ranges(begin + new, np.maximum(size, 0))] = text.bytes_of(tokens)
        owner = np.repeat(np.arange(len(tokens)), width)
        owner[begin[new]] = -1
        owner[(begin + new)[size < 0]] = -1
        opens = ((data & 0xC0) != 0x80) | (np.append(0, owner[:-1]) < 0)  # or the rest of one
        lead = np.flatnonzero(opens)
        first = np.full(len(data), -1)
        first[(begin + new)[size > 0]] = np.flatnonzero(size > 0)
        last = owner[np.append(lead[1:], len(data)) - 1]
        return cls(_decoded(data, lead), first[lead], last, np.cumsum(opens) - 1, owner)

    def tokens_with(self, chosen: np.ndarray, count: int) -> np.ndarray:
        """Which of `count` tokens hold a byte of the characters `chosen` [c] bool. [count] bool."""
        held = np.zeros(count, bool)
        held[self.owner[chosen[self.char] & (self.owner >= 0)]] = True
        return held


def _decoded(data: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """The code points of UTF-8 whose characters begin at `lead`; what is none gives U+FFFD."""
    size = np.diff(np.append(lead, len(data)))
    byte = np.append(data, np.zeros(3, np.uint8)).astype(np.int64)
    one, two, three, four = (byte[lead + i] & (0x3F if i else 0xFF) for i in range(4))
    codes = np.select(
        [
            (size == 1) & (one < 0x80),
            (size == 2) & (one >= 0xC2) & (one < 0xE0),
            (size == 3) & (one >= 0xE0) & (one < 0xF0),
            (size == 4) & (one >= 0xF0) & (one < 0xF5),
        ],
        [
            one,
            (one & 0x1F) << 6 | two,
            (one & 0x0F) << 12 | two << 6 | three,
            (one & 0x07) << 18 | two << 12 | three << 6 | four,
        ],
        _REPLACEMENT,
    )
    return np.where(codes < _POINTS, codes, _REPLACEMENT)
