"""What each token of a vocabulary says about the word and sentence boundaries at its two ends.

A rule of UAX #29 joins two characters if one condition holds left of their border and another one
right of it. So every token has one bit for each rule on either side, and two neighbours are joined
where their bits meet: `left[a] & right[b]`. A condition that depends on further tokens has a second
bit, which says that it may hold; where only such bits meet, the text itself decides.
"""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from fxformer import word_break as wb
from fxformer.characters import Characters
from fxformer.spelling import TokenText

HOLDS = np.uint32(0xFFFF)  # the bits of conditions that hold; those that may hold are 16 higher
STARTS_IGNORED = np.uint32(1 << 3)  # WB4, in the order of `_rules`
PASSED = np.uint32(1 << 4)  # WB5: if it only may hold on the left, WB4 ignores the whole token
LOOKS_AHEAD = np.uint32(1 << 5 | 1 << 7 | 1 << 9)  # WB6, 12, 7b: a mark, if a letter follows it
LOOKS_BACK = np.uint32(1 << 6 | 1 << 8 | 1 << 10)  # WB7, 11, 7c: the letter behind such a mark
SENTENCE_END = np.uint8(
    3
)  # bits that meet where a sentence ends with the last character of a token
SENTENCE_TAIL = np.uint8(4)  # the bit that meets where a token may begin with the end of a sentence
# flags
ODD = np.uint8(1)  # it begins inside a character, or is empty
MUTE = np.uint8(2)  # it has no text
BLANK = np.uint8(4)  # it is nothing but white space
SPACED = np.uint8(8)  # it begins with white space
WORD_CLOSED = np.uint8(16)  # no word boundary behind it depends on what is before it
SENTENCE_CLOSED = np.uint8(32)  # no sentence end behind it depends on what is before it
INSIDE = np.uint8(64)  # a sentence ends in it before its last character


@dataclasses.dataclass(frozen=True)
class TokenBorders:
    """Tables over the V tokens of a vocabulary.

    word_left, word_right: [V] uint32, the conditions for joined words that a token meets where it
        stands left of a border, and right of it
    sentence_left, sentence_right: [V] uint8, the same for the ends of sentences
    flags: [V] uint8, the constants above
    """

    word_left: np.ndarray
    word_right: np.ndarray
    sentence_left: np.ndarray
    sentence_right: np.ndarray
    flags: np.ndarray


@functools.lru_cache(maxsize=16)
def token_borders(text: TokenText) -> TokenBorders:
    """The tables of a vocabulary."""
    count, ids = len(text.size), np.flatnonzero(text.size > 0)
    seen = Characters.of(text, ids, np.ones(len(ids), bool))
    chars = _Spelt.of(seen, len(ids))
    odd, mute = np.ones(count, bool), text.size < 0
    odd[ids] = text.flat[text.first[ids]] & 0xC0 == 0x80
    odd[mute] = False

    def over(values: np.ndarray, fill: int | np.integer = 0) -> np.ndarray:
        """values [ids] laid out over the whole vocabulary."""
        whole = np.full(count, fill, values.dtype)
        whole[ids] = values
        return whole

    left, right = _word_conditions(chars)
    closed = over((left >> 16 == left & HOLDS) & (chars.kept_count > 0)) & ~odd | mute
    space = wb.spaces(chars.codes)
    blank = np.bincount(chars.token[~space], minlength=len(ids)) == 0
    ends, follows, inside, closing = _sentence_conditions(seen, chars)
    flags = {
        ODD: odd,
        MUTE: mute,
        BLANK: over(blank),
        SPACED: over(space[chars.start]),
        WORD_CLOSED: closed,
        SENTENCE_CLOSED: over(~closing) & ~odd | mute,
        INSIDE: over(inside),
    }
    joined = np.zeros(count, np.uint8)
    for bit, here in flags.items():
        joined |= bit * here
    return TokenBorders(over(left), over(right), over(ends), over(follows, SENTENCE_END), joined)


@dataclasses.dataclass(frozen=True)
class _Spelt:
    """The c characters of n tokens, each spelt by itself.

    codes, token: [c] int64; start, end: [n] int64, the first and the last character of each token
    prop: [c] uint32, see word_break.py
    kept, kept_start, kept_count: the characters that WB4 does not ignore, whatever is before the
        token: [k] uint32, their properties; [n] int64, the first of each token and how many
    """

    codes: np.ndarray
    token: np.ndarray
    start: np.ndarray
    end: np.ndarray
    prop: np.ndarray
    kept: np.ndarray
    kept_start: np.ndarray
    kept_count: np.ndarray

    @classmethod
    def of(cls, seen: Characters, count: int) -> "_Spelt":
        own = seen.last >= 0
        codes, token = seen.codes[own], seen.last[own]
        size = np.bincount(token, minlength=count)
        start, prop = np.cumsum(size) - size, wb.properties(codes)
        before = np.append(np.uint32(0), prop[:-1])
        before[start] = 0  # not known
        kept = (prop & wb.IGNORED == 0) | (before & wb.NEWLINE != 0)
        number = np.bincount(token[kept], minlength=count)
        begin = np.cumsum(number) - number
        return cls(codes, token, start, start + size - 1, prop, prop[kept], begin, number)

    def kept_at(self, rank: int) -> np.ndarray:
        """The properties of a kept character of each token, counted from the end where the rank is
        negative; 0 where there are not so many. [n] uint32."""
        count = self.kept_count
        there = count > rank if rank >= 0 else count >= -rank
        place = self.kept_start + (rank if rank >= 0 else count + rank)
        return np.where(there, np.append(self.kept, np.uint32(0))[np.where(there, place, -1)], 0)


def _word_conditions(chars: _Spelt) -> tuple[np.ndarray, np.ndarray]:
    """`TokenBorders.word_left` and `word_right` of n tokens. [n] uint32 each."""
    left = right = np.zeros(len(chars.start), np.uint32)
    bare = chars.kept_count == 0
    for rule, (before, maybe, after, perhaps) in enumerate(_rules(chars)):
        maybe = maybe | before | (bare & (rule >= 4))  # WB5 to 16 pass over what WB4 ignores
        left = left | np.uint32(1 << rule) * before | np.uint32(1 << rule + 16) * maybe
        perhaps = perhaps | after
        right = right | np.uint32(1 << rule) * after | np.uint32(1 << rule + 16) * perhaps
    return left, right


def _rules(chars: _Spelt) -> Iterator[tuple[np.ndarray, ...]]:
    """For each rule: where its left condition holds, and may hold; its right one, and may. [n]."""
    no, one = np.zeros(len(chars.start), bool), chars.kept_count < 2
    begin, end = chars.prop[chars.start], chars.prop[chars.end]
    last, before_last, second = chars.kept_at(-1), chars.kept_at(-2), chars.kept_at(1)
    first = np.where(begin & wb.IGNORED != 0, 0, begin)

    def has(prop: np.ndarray, which: np.uint32) -> np.ndarray:
        return prop & which != 0

    yield has(end, wb.CR), no, has(begin, wb.LF), no  # WB3
    yield has(end, wb.ZWJ), no, has(begin, wb.PICTOGRAPH), no  # WB3c
    yield has(end, wb.SPACE), no, has(begin, wb.SPACE), no  # WB3d
    yield ~has(end, wb.NEWLINE), no, has(begin, wb.IGNORED), no  # WB4
    yield has(last, wb.PLAIN), no, has(first, wb.PLAIN), no  # WB5, 8, 9, 10
    for side, mark in wb.INSIDES:
        opens, shuts = has(first, mark), has(last, mark)
        yield has(last, side), no, opens & has(second, side), opens & one  # WB6, 12, 7b
        yield shuts & has(before_last, side), shuts & one, has(first, side), no  # WB7, 11, 7c
    yield has(last, wb.HEBREW), no, has(first, wb.SINGLE), no  # WB7a
    yield has(last, wb.KATAKANA), no, has(first, wb.KATAKANA), no  # WB13
    wide = wb.PLAIN | wb.KATAKANA
    yield has(last, wide | wb.UNDERSCORE), no, has(first, wb.UNDERSCORE), no  # WB13a
    yield has(last, wb.UNDERSCORE), no, has(first, wide), no  # WB13b
    flags, whole = _flags_at_end(chars)
    yield (flags % 2 == 1) & ~whole, whole & (flags > 0), has(first, wb.FLAG), no  # WB15, 16


def _flags_at_end(chars: _Spelt) -> tuple[np.ndarray, np.ndarray]:
    """How many regional indicators each token ends in, and whether it has nothing else."""
    place = np.arange(len(chars.kept) + 1)
    other = np.append(chars.kept & wb.FLAG == 0, True)
    before = np.maximum.accumulate(np.where(other, place, -1))
    end = chars.kept_start + chars.kept_count - 1
    number = np.clip(end - before[end], 0, chars.kept_count)
    return number, number == chars.kept_count


def _sentence_conditions(seen: Characters, chars: _Spelt) -> tuple[np.ndarray, ...]:
    """`TokenBorders.sentence_left` and `sentence_right` of n tokens, [n] uint8 each; in which a
    sentence ends before the last character, and which are nothing but quotes and brackets that
    close. [n] bool each."""
    own = seen.last >= 0
    tail, anywhere = (part[own] for part in wb.sentence_tails(seen.codes))
    ends, count = wb.sentence_ends(seen.codes)[own], len(chars.start)
    ends[chars.end] = False
    inside = np.bincount(chars.token[ends], minlength=count) > 0
    closes = wb.closes(chars.codes)
    closing = np.bincount(chars.token[~closes], minlength=count) == 0
    tail, anywhere = tail[chars.end], anywhere[chars.end]
    left = anywhere * np.uint8(1) | (tail & ~anywhere) * np.uint8(2)
    left |= (tail | closing) * SENTENCE_TAIL
    begin = chars.codes[chars.start]
    other = ~closes[chars.start] & ~wb.ends(begin)
    right = other * np.uint8(1) | (other & ~wb.goes_on(begin)) * np.uint8(2)
    return left, right | closes[chars.start] * SENTENCE_TAIL, inside, closing
