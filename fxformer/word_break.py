"""Word boundaries (Unicode UAX #29) and sentence ends of a sequence of code points."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_POINTS = 0x110000
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
# Marks after which a sentence ends wherever they stand, and those after which it ends unless the
# text goes on without a space: "3.14", "os.path", "e.g.,".
_ALWAYS = "。！？｡．︒﹒﹖﹗‼⁇⁈⁉؟۔।॥։።៕။"
_SPACED = ".!?…"
_CLOSING = "\"')]}»”’」』）】》〉］｝"

# The Word_Break properties, one bit each; Extended_Pictographic, another property, may stand beside
# one of them. A code point without any has none.
PROPERTIES: Sequence[str] = (
    "CR LF Newline Extend Format ZWJ Katakana ALetter MidLetter MidNum MidNumLet Numeric "
    "ExtendNumLet Regional_Indicator Hebrew_Letter Double_Quote Single_Quote WSegSpace "
    "Extended_Pictographic"
).split()


def bits(*names: str) -> np.uint32:
    """The bits of these properties."""
    return np.uint32(sum(1 << PROPERTIES.index(name) for name in names))


CR, LF, ZWJ, SPACE = bits("CR"), bits("LF"), bits("ZWJ"), bits("WSegSpace")
PICTOGRAPH, FLAG = bits("Extended_Pictographic"), bits("Regional_Indicator")
NEWLINE, IGNORED = bits("CR", "LF", "Newline"), bits("Extend", "Format", "ZWJ")
HEBREW, DIGIT, LETTER = bits("Hebrew_Letter"), bits("Numeric"), bits("ALetter", "Hebrew_Letter")
KATAKANA, UNDERSCORE = bits("Katakana"), bits("ExtendNumLet")
SINGLE, DOUBLE = bits("Single_Quote"), bits("Double_Quote")
IN_WORD = bits("MidLetter", "MidNumLet", "Single_Quote")
IN_NUMBER = bits("MidNum", "MidNumLet", "Single_Quote")
PLAIN = LETTER | DIGIT
# Of what a word goes on behind a mark in its inside: WB6 and 7, WB11 and 12, WB7b and 7c.
INSIDES = ((LETTER, IN_WORD), (DIGIT, IN_NUMBER), (HEBREW, DOUBLE))


@functools.cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """[0x110000] uint8, a number for each code point; [numbers] uint32, its properties' bits."""
    table, known = np.zeros(_POINTS, np.uint8), np.zeros(256, np.uint32)
    text = Path(__file__).with_name("word_break.txt").read_text(encoding="ascii")
    for line in text.splitlines():
        name, *spans = line.split()
        if name == "#":
            continue
        number = 128 if name == "Extended_Pictographic" else 1 + PROPERTIES.index(name)
        for span in spans:
            low, _, high = span.partition("-")
            table[int(low, 16) : int(high or low, 16) + 1] |= number
    for place, name in enumerate(PROPERTIES[:-1]):
        known[[1 + place, 129 + place]] = bits(name)
    known[128:] |= PICTOGRAPH
    return table, known


def properties(codes: np.ndarray) -> np.ndarray:
    """The bits of the Word_Break properties of each code point. [n] uint32."""
    table, known = _table()
    return known[table[codes]]


@functools.cache
def _marks(characters: str) -> np.ndarray:
    """[0x110000] bool: the code points of these characters."""
    table = np.zeros(_POINTS, bool)
    table[[ord(c) for c in characters]] = True
    return table


def spaces(codes: np.ndarray) -> np.ndarray:
    """Which code points are white space. [n] bool."""
    return _marks(SPACES)[codes]


def word_boundaries(codes: np.ndarray) -> np.ndarray:
    """Whether a word boundary lies before each code point (UAX #29, sec. 4.1). [n] bool."""
    prop = properties(codes)
    before = np.append(LF, prop[:-1])  # the start of the text breaks as LF does
    ignored = (prop & IGNORED != 0) & (before & NEWLINE == 0)  # WB4
    joined = ignored | ((before & CR != 0) & (prop & LF != 0))  # WB3
    joined |= (before & ZWJ != 0) & (prop & PICTOGRAPH != 0)  # WB3c
    joined |= before & prop & SPACE != 0  # WB3d
    kept = np.flatnonzero(~ignored)
    joined[kept] |= _joined(prop[kept])
    joined[:1] = False
    return ~joined


def _joined(prop: np.ndarray) -> np.ndarray:
    """WB5 to WB16, for properties from which WB4 has taken what it ignores. [n] bool."""
    before, after = np.append(np.uint32(0), prop[:-1]), np.append(prop[1:], np.uint32(0))
    joined = (before & PLAIN != 0) & (prop & PLAIN != 0)  # WB5, 8, 9, 10
    for side, mark in INSIDES:
        inside = (prop & mark != 0) & (before & side != 0) & (after & side != 0)
        joined |= inside  # WB6, 12, 7b
        joined[1:] |= inside[:-1]  # WB7, 11, 7c
    joined |= (before & HEBREW != 0) & (prop & SINGLE != 0)  # WB7a
    joined |= before & prop & KATAKANA != 0  # WB13
    joined |= (before & (PLAIN | KATAKANA | UNDERSCORE) != 0) & (prop & UNDERSCORE != 0)  # WB13a
    joined |= (before & UNDERSCORE != 0) & (prop & (PLAIN | KATAKANA) != 0)  # WB13b
    flag = prop & FLAG != 0
    if flag.any():  # WB15, 16: in pairs
        place = np.arange(len(prop))
        start = np.maximum.accumulate(
            np.where(flag, -1, place)
        )  # what is no flag, last before each
        joined |= flag & ((place - start) % 2 == 0)
    return joined


def sentence_ends(codes: np.ndarray) -> np.ndarray:
    """Whether each code point is the last of a sentence: a mark that ends one, and the quotes and
    brackets that close behind it. Not all of UAX #29: abbreviations end a sentence. [n] bool."""
    tail, anywhere = sentence_tails(codes)
    follows = np.append(tail[1:], False)
    return tail & ~follows & (anywhere | ~np.append(goes_on(codes)[1:], False))


def sentence_tails(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each code point is a mark that may end a sentence or closes behind one; and whether
    that mark ends it whatever follows. [n] bool each."""
    always = _marks(_ALWAYS)[codes]
    mark, closing = always | _marks(_SPACED)[codes], closes(codes)
    place = np.arange(len(codes))
    last = np.maximum.accumulate(np.where(closing, -1, place))  # before it only closing marks
    tail = mark | (closing & (last >= 0) & mark[last])
    return tail, tail & always[np.where(mark, place, last)]


def ends(codes: np.ndarray) -> np.ndarray:
    """Which code points are marks that may end a sentence. [n] bool."""
    return _marks(_ALWAYS + _SPACED)[codes]


def closes(codes: np.ndarray) -> np.ndarray:
    """Which code points are quotes and brackets that close. [n] bool."""
    return _marks(_CLOSING)[codes]


def goes_on(codes: np.ndarray) -> np.ndarray:
    """Before which code points a mark of `_SPACED` ends no sentence. [n] bool."""
    return (properties(codes) & (PLAIN | UNDERSCORE) != 0) | _marks(",;:")[codes]
