"""Words and sentences of a text, whatever tokens it is cut into (Unicode, UAX #29)."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.ranges import ranges
from fxformer.spelling import TokenText

_POINTS = 0x110000
_REPLACEMENT = 0xFFFD
_BREAK = 0x0A  # stands for a special token and for the border between two texts
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
# Marks after which a sentence ends wherever they stand, and those after which it ends unless the
# text goes on without a space: "3.14", "os.path", "e.g.,".
_ALWAYS = "。！？｡．︒﹒﹖﹗‼⁇⁈⁉؟۔।॥։።៕။"
_SPACED = ".!?…"
_CLOSING = "\"')]}»”’」』）】》〉］｝"


@functools.cache
def _properties() -> tuple[np.ndarray, dict[str, int]]:
    """[0x110000] uint8, the Word_Break property of each code point; the number of each property.
    Extended_Pictographic, which is another property, is a bit of its own."""
    table, numbers = np.zeros(_POINTS, np.uint8), {"Other": 0, "Extended_Pictographic": 128}
    text = Path(__file__).with_name("word_break.txt").read_text(encoding="ascii")
    for line in text.splitlines():
        name, *spans = line.split()
        if name == "#":
            continue
        number = numbers.setdefault(name, len(numbers) - 1)
        for span in spans:
            low, _, high = span.partition("-")
            table[int(low, 16) : int(high or low, 16) + 1] |= number
    return table, numbers


@functools.cache
def _marks(characters: str) -> np.ndarray:
    """[0x110000] bool: the code points of these characters."""
    table = np.zeros(_POINTS, bool)
    table[[ord(c) for c in characters]] = True
    return table


def word_boundaries(codes: np.ndarray) -> np.ndarray:
    """Whether a word boundary lies before each code point (UAX #29, sec. 4.1). [n] bool."""
    table, number = _properties()
    prop = table[codes]
    pictograph = prop >= 128
    prop &= 127
    before = np.append(np.uint8(number["LF"]), prop[:-1])  # the start of the text breaks as LF does
    newline = np.isin(before, [number[n] for n in ("CR", "LF", "Newline")])
    ignored = np.isin(prop, [number[n] for n in ("Extend", "Format", "ZWJ")]) & ~newline  # WB4
    joined = ignored | ((before == number["CR"]) & (prop == number["LF"]))  # WB3
    joined |= (before == number["ZWJ"]) & pictograph  # WB3c
    joined |= (before == number["WSegSpace"]) & (prop == number["WSegSpace"])  # WB3d
    kept = np.flatnonzero(~ignored)
    joined[kept] |= _joined(prop[kept], number)
    joined[:1] = False
    return ~joined


def _joined(p: np.ndarray, number: dict[str, int]) -> np.ndarray:
    """WB5 to WB16, for properties from which WB4 has taken what it ignores. [n] bool."""

    def among(*names: str) -> np.ndarray:
        return np.isin(p, [number[name] for name in names])

    def shifted(here: np.ndarray, by: int) -> np.ndarray:
        """here[i - by]; False beyond either end."""
        moved = np.zeros(len(here), bool)
        if by > 0:
            moved[by:] = here[:-by]
        else:
            moved[:by] = here[-by:]
        return moved

    letter, digit = among("ALetter", "Hebrew_Letter"), among("Numeric")
    hebrew, katakana, underscore = (
        among("Hebrew_Letter"),
        among("Katakana"),
        among("ExtendNumLet"),
    )
    single, double = among("Single_Quote"), among("Double_Quote")
    in_word = among("MidLetter", "MidNumLet", "Single_Quote")
    in_number = among("MidNum", "MidNumLet", "Single_Quote")
    plain = letter | digit
    joined = shifted(plain, 1) & plain  # WB5, 8, 9, 10
    for side, mark in ((letter, in_word), (digit, in_number), (hebrew, double)):
        inside = shifted(side, 1) & mark & shifted(side, -1)  # WB6, 7; 11, 12; 7b, 7c
        joined |= inside | shifted(inside, 1)
    joined |= shifted(hebrew, 1) & single  # WB7a
    joined |= shifted(katakana, 1) & katakana  # WB13
    joined |= shifted(plain | katakana | underscore, 1) & underscore  # WB13a
    joined |= shifted(underscore, 1) & (plain | katakana)  # WB13b
    flag = among("Regional_Indicator")
    place = np.arange(len(p))
    start = np.maximum.accumulate(np.where(flag, -1, place))  # what is no flag, last before each
    return joined | (flag & ((place - start) % 2 == 0))  # WB15, 16: in pairs


def sentence_ends(codes: np.ndarray) -> np.ndarray:
    """Whether each code point is the last of a sentence: a mark that ends one, and the quotes and
    brackets that close behind it. Not all of UAX #29: abbreviations end a sentence. [n] bool."""
    table, number = _properties()
    always, spaced = _marks(_ALWAYS)[codes], _marks(_SPACED)[codes]
    mark, closing = always | spaced, _marks(_CLOSING)[codes]
    place = np.arange(len(codes))
    last = np.maximum.accumulate(np.where(closing, -1, place))  # before it only closing marks
    tail = mark | (closing & (last >= 0) & mark[last])
    anywhere = tail & always[np.where(mark, place, last)]
    goes_on = (
        np.isin(
            table[codes] & 127,
            [number[name] for name in ("ALetter", "Hebrew_Letter", "Numeric", "ExtendNumLet")],
        )
        | _marks(",;:")[codes]
    )
    follows = np.append(tail[1:], False)
    return tail & ~follows & (anywhere | ~np.append(goes_on[1:], False))


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


def begins_word(vocabulary: Vocabulary, tokens: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Which tokens begin a word. new: where a text begins. [n] bool.

    Words are the segments of UAX #29, decided on the text that the tokens spell: a CJK ideograph
    is a word, a mark too. White space goes with the word behind it. A token that holds the border
    of two words, or a part of a character, joins what it cannot part. Special tokens are alone.
    """
    special = vocabulary.special[tokens]
    begins = new | special
    begins[1:] |= special[:-1]
    if vocabulary.text is None:
        return begins | vocabulary.starts_word[tokens]
    seen = Characters.of(vocabulary.text, tokens, new)
    space = _marks(_SPACES)[seen.codes]
    blank = (vocabulary.text.size[tokens] > 0) & ~seen.tokens_with(~space, len(tokens))
    border = word_boundaries(seen.codes) & (seen.first >= 0)
    border &= space | ~np.append(False, blank[:-1])[seen.first]
    begins[seen.first[border]] = True
    return begins


def ends_sentence(vocabulary: Vocabulary, tokens: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Which tokens hold the end of a sentence, decided on the text they spell. new: where a text
    begins. [n] bool."""
    if vocabulary.text is None:
        return vocabulary.ends_sentence[tokens]
    seen = Characters.of(vocabulary.text, tokens, new)
    ends = np.zeros(len(tokens), bool)
    ends[seen.last[sentence_ends(seen.codes) & (seen.last >= 0)]] = True
    return ends


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
