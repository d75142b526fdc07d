"""Checks of maskings of whole words and of spans of words: budgets, places and lengths."""

import functools

import numpy as np

from fxformer.evaluate.audit.check import Check, once
from fxformer.evaluate.audit.checks.dispatch import masking_checks
from fxformer.evaluate.audit.checks.token_maskings import at_least_one
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.tokens import due
from fxformer.objective.masking.whole_words import WholeWords, Words
from fxformer.objective.masking.word_spans import Spans, longest
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, starts_of


@masking_checks.register
def whole_words(masking: WholeWords) -> tuple[Check, ...]:
    """RatioEstimate between pieces and what was chosen of them."""
    return unit_checks(masking.rate, whole=True)


@masking_checks.register
def spans(masking: Spans) -> tuple[Check, ...]:
    """RatioEstimate between pieces and what was chosen of them."""
    seen = once(functools.partial(seen_spans, masking))

    def surplus(pieces: Pieces, masked: Masked) -> np.ndarray:
        number, _, expected = seen(pieces, masked)
        return (number - expected.sum(1))[expected.sum(1) > 0]

    def shares_of(length: int) -> Check:
        """How many spans have this length, against what is expected where some are cut."""
        nominal = float(masking.lengths.shares[length - 1])

        def share(pieces: Pieces, masked: Masked) -> np.ndarray:
            number, of_length, expected = seen(pieces, masked)
            part = of_length[:, length - 1] - expected[:, length - 1] + nominal * number
            return np.stack([part, number], axis=1)[expected.sum(1) > 0]

        return Check(f"share of spans of {length}, cut ones aside", nominal, share, "ratio")

    return (
        *unit_checks(masking.rate, masking.whole_words),
        Check("spans beyond those expected, per piece", 0.0, surplus, "mean"),
        *(shares_of(length + 1) for length in range(len(masking.lengths.shares))),
    )


def seen_spans(
    masking: Spans, pieces: Pieces, masked: Masked
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each piece: its spans [P], those of each length [P, longest], and their expectation
    [P, longest]."""
    words, budget, top = (
        masking.words(pieces),
        due(masking.rate, pieces.free_lengths),
        len(masking.lengths.shares),
    )
    lead, run = np.isin(masked.index, words.first), masked.runs(pieces)
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    length = np.bincount(run[lead], minlength=len(starts))
    piece = pieces.piece[masked.index[starts]]
    known = (length > 0) & (length <= top)
    cell = piece[known] * top + length[known] - 1
    of_length = np.bincount(cell, minlength=pieces.count * top).reshape(-1, top)
    chance = budget / np.maximum(pieces.free_lengths, 1)
    expected = expected_lengths(words, longest(words, budget), masking.lengths.shares)
    return counts_of(piece, pieces.count), of_length, expected * chance[:, None]


def expected_lengths(words: Words, top: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """E[spans of length d] of each piece, where its words are cut into spans of drawn lengths.

    U(s) is the probability that a span begins at word s: U(0) = 1, U(s) = Σ U(s-d) q(d), and E(d) =
    Σ U(s) q(d) over all s, with q the distribution of the lengths, where longer ones than top[s]
    are cut to it. shares: P(length = 1), …; top: [W]. [P, longest].
    """
    most = len(shares)
    step = np.arange(1, most + 1)
    limit = np.minimum(np.arange(most + 1), most)[:, None]
    least = np.cumsum(shares[::-1])[::-1]  # P(length >= d)
    law = np.where(step < limit, shares, np.where(step == limit, least, 0.0))  # by limit
    top = np.minimum(top, most)
    begin = starts_of(words.count)
    chance = np.zeros(len(words.size))
    chance[begin[words.count > 0]] = 1
    expected = np.zeros((len(words.count), most))
    for rank in range(int(words.count.max(initial=0))):
        piece = np.flatnonzero(words.count > rank)
        at = begin[piece] + rank
        part = chance[at, None] * law[top[at]]
        expected[piece] += part
        inside = rank + step < words.count[piece, None]
        chance[(at[:, None] + step)[inside]] += part[inside]  # each place once
    return expected


def unit_checks(rate: float, whole: bool) -> tuple[Check, ...]:
    """Words are selected whole or not at all, none beyond the budget, tokens at their rate."""

    def budget(pieces: Pieces) -> np.ndarray:
        return due(rate, pieces.free_lengths)

    def partly(pieces: Pieces, masked: Masked) -> np.ndarray:
        words = Words.of(pieces, budget(pieces), whole=whole)
        taken = words.taken(masked)
        return (taken > 0) & (taken < words.size)

    def beyond(pieces: Pieces, masked: Masked) -> np.ndarray:
        run = masked.runs(pieces)
        piece = pieces.piece[masked.index[np.flatnonzero(np.diff(run, prepend=-1))]]
        return np.bincount(run) > budget(pieces)[piece]

    def most(pieces: Pieces, masked: Masked) -> np.ndarray:
        taken = counts_of(pieces.piece[masked.index], pieces.count)
        return taken >= np.maximum(2 * budget(pieces), 1)

    def share(pieces: Pieces, masked: Masked) -> np.ndarray:
        length = pieces.free_lengths
        taken = counts_of(pieces.piece[masked.index], pieces.count)
        rounding = budget(pieces) - rate * length
        return np.stack([taken - rounding, length], axis=1)[length > 0]

    def place(pieces: Pieces, masked: Masked) -> np.ndarray:
        words = Words.of(pieces, budget(pieces), whole=whole)
        middle = (words.rank + 0.5) / words.count[words.piece]
        hit = words.taken(masked) > 0
        total = np.bincount(words.piece, weights=hit * middle, minlength=pieces.count)
        number = counts_of(words.piece, pieces.count, hit)
        return np.stack([total, number], axis=1)[number > 0]

    def alike(pieces: Pieces, masked: Masked) -> np.ndarray:
        words, length = Words.of(pieces, budget(pieces), whole=whole), pieces.free_lengths
        chance = (budget(pieces) / np.maximum(length, 1))[words.piece]
        hit = (words.taken(masked) > 0) - chance + rate
        total = np.bincount(words.piece, weights=hit, minlength=pieces.count)
        return np.stack([total, words.count], axis=1)[words.count > 0]

    return (
        Check("words, or parts as long as the budget, selected in part", 0.0, partly, "exact"),
        Check("units of more tokens than the budget", 0.0, beyond, "exact"),
        Check("pieces with twice their budget selected", 0.0, most, "exact"),
        at_least_one(),
        Check("selected share of the tokens, rounding aside", rate, share, "ratio"),
        Check("selected share of the words, rounding aside", rate, alike, "ratio"),
        Check("place of a selected word in its piece", 0.5, place, "ratio"),
    )
