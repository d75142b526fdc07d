"""Words and sentences of a text, whatever tokens it is cut into (Unicode, UAX #29)."""

from collections.abc import Callable

import numpy as np

from fxformer import token_borders as tb
from fxformer.batch import Vocabulary
from fxformer.characters import Characters
from fxformer.spelling import TokenText
from fxformer.word_break import sentence_ends, spaces, word_boundaries


def begins_word(vocabulary: Vocabulary, tokens: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Which tokens begin a word. new: where a text begins. [n] bool.

    Words are the segments of UAX #29, decided on the text that the tokens spell: a CJK ideograph
    is a word, a mark too. White space goes with the word behind it. A token that holds the border
    of two words, or a part of a character, joins what it cannot part. Special tokens are alone.

    Most borders are decided by the two tokens beside them (see token_borders.py), the others by
    `words_of_text` on some tokens around them, with the result that it has on all tokens.
    """
    special = vocabulary.special[tokens]
    begins = new | special
    begins[1:] |= special[:-1]
    if vocabulary.text is None:
        return begins | vocabulary.starts_word[tokens]
    table = tb.token_borders(vocabulary.text)
    flags = table.flags[tokens]
    joined, unsure = _joined(table, tokens, new)
    told = ~joined & (flags & tb.MUTE == 0)
    told[1:] &= flags[1:] & tb.SPACED | ~flags[:-1] & tb.BLANK != 0
    unsure = (unsure | _near_odd(flags)) & ~begins
    closed = _closed(flags, tb.WORD_CLOSED)
    _look_up(told, unsure, closed, words_of_text, vocabulary.text, tokens, new)
    return begins | told


def ends_sentence(vocabulary: Vocabulary, tokens: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Which tokens hold the end of a sentence, decided on the text they spell. new: where a text
    begins. [n] bool.

    Decided by neighbouring tokens and, where those do not suffice, by `sentences_of_text`.
    """
    if vocabulary.text is None:
        return vocabulary.ends_sentence[tokens]
    table = tb.token_borders(vocabulary.text)
    flags = table.flags[tokens]
    follows = np.full(len(tokens), tb.SENTENCE_END)
    follows[:-1] = np.where(new[1:], tb.SENTENCE_END, table.sentence_right[tokens[1:]])
    shared = table.sentence_left[tokens] & follows
    told, unsure = shared & tb.SENTENCE_END | flags & tb.INSIDE != 0, _near_odd(flags)
    unsure[1:] |= shared[:-1] & tb.SENTENCE_TAIL != 0
    closed = _closed(flags, tb.SENTENCE_CLOSED)
    _look_up(told, unsure, closed, sentences_of_text, vocabulary.text, tokens, new)
    return told


def _joined(
    table: tb.TokenBorders, tokens: np.ndarray, new: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens are joined to the one before them, and of which the tables do not tell. They
    tell by the two tokens, or by one more on either side: "a.b" is three. [n] bool each."""
    shared = np.zeros(len(tokens), np.uint32)
    shared[1:] = table.word_left[tokens[:-1]] & table.word_right[tokens[1:]]
    joined, unsure = shared & tb.HOLDS != 0, np.zeros(len(tokens), bool)
    at = np.flatnonzero(~joined & (shared != 0))
    left, maybe = table.word_left[tokens[at - 1]], shared[at] >> 16
    before = np.where(new[at - 1] | (at < 2), 0, table.word_left[tokens[at - 2]])
    following = np.minimum(at + 1, len(tokens) - 1)
    ended = new[following] | (following == at)
    behind = np.where(ended, 0, table.word_right[tokens[following]])
    ahead, back = maybe & tb.LOOKS_AHEAD, (maybe & tb.LOOKS_BACK) >> 1
    rest = maybe & ~(tb.LOOKS_AHEAD | tb.LOOKS_BACK) | back & before >> 16 & ~before
    rest |= np.where(behind & tb.STARTS_IGNORED != 0, ahead, 0) | left >> 16 & ~left & tb.PASSED
    joined[at] = (rest == 0) & (ahead << 1 & behind | back & before != 0)
    unsure[at] = rest != 0
    return joined, unsure


def words_of_text(text: TokenText, tokens: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Which tokens with text begin a word, told from all characters; `begins_word` without the
    special tokens. [n] bool."""
    seen = Characters.of(text, tokens, new)
    space = spaces(seen.codes)
    blank = (text.size[tokens] > 0) & ~seen.tokens_with(~space, len(tokens))
    border = word_boundaries(seen.codes) & (seen.first >= 0)
    border &= space | ~np.append(False, blank[:-1])[seen.first]
    begins = np.zeros(len(tokens), bool)
    begins[seen.first[border]] = True
    return begins


def sentences_of_text(text: TokenText, tokens: np.ndarray, new: np.ndarray) -> np.ndarray:
    """`ends_sentence`, told from all characters. [n] bool."""
    seen = Characters.of(text, tokens, new)
    ends = np.zeros(len(tokens), bool)
    ends[seen.last[sentence_ends(seen.codes) & (seen.last >= 0)]] = True
    return ends


def _near_odd(flags: np.ndarray) -> np.ndarray:
    """Which tokens have a character, or a neighbour with one, that goes on in the next token, so
    that the tables of single tokens do not hold for them. [n] bool."""
    odd = flags & tb.ODD != 0
    near = odd.copy()
    if odd.any():
        near[1:] |= odd[:-1]
        near[2:] |= odd[:-2]
        near[:-1] |= odd[1:]
        near[:-2] |= odd[2:]
    return near


def _closed(flags: np.ndarray, bit: np.uint8) -> np.ndarray:
    """Which tokens have this flag, and no character that goes on in the next one. [n] bool."""
    closed = flags & bit != 0
    closed[:-1] &= flags[1:] & tb.ODD == 0
    return closed


def _look_up(
    told: np.ndarray,
    unsure: np.ndarray,
    closed: np.ndarray,
    of_text: Callable[[TokenText, np.ndarray, np.ndarray], np.ndarray],
    text: TokenText,
    tokens: np.ndarray,
    new: np.ndarray,
) -> None:
    """Put what `of_text` says in `told` where it is unsure. It is asked of runs of tokens, each
    from the last closed token before an unsure one to the first closed token behind it."""
    at, whole = np.flatnonzero(unsure), np.flatnonzero(closed)
    if not len(at):
        return
    edges = np.concatenate([[0], whole, [len(tokens) - 1]])
    low = edges[np.searchsorted(whole, at)]
    high = edges[np.searchsorted(whole, at, side="right") + 1]
    count = len(tokens) + 1
    depth = np.bincount(low, minlength=count) - np.bincount(high + 1, minlength=count)
    part = np.flatnonzero(np.cumsum(depth[:-1]))
    begins = np.diff(part, prepend=-2) > 1
    told[at] = of_text(text, tokens[part], new[part] | begins)[np.searchsorted(part, at)]
