"""Checks of maskings whose tokens a decoder predicts: spans, suffixes, sentences, mixtures."""

import functools
from typing import cast

import numpy as np

from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks.dispatch import masking_checks
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.gap_sentences import GapSentences, due, rouge, whole_sentences
from fxformer.objective.masking.random_spans import RandomSpans, RandomTokens, Suffix
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of, starts_of, sums_before
from fxformer.objective.ul2 import Mixed


@masking_checks.register
def random_tokens(masking: RandomTokens) -> tuple[Check, ...]:
    """The share, that neighbours are hidden independently, and that they make one span."""
    return (
        Check(
            "hidden share, the guaranteed tokens aside",
            masking.rate,
            functools.partial(_share, masking),
            "ratio",
        ),
        Check(
            "hidden neighbours, share of pairs",
            masking.rate**2,
            functools.partial(_pairs, masking),
            "ratio",
        ),
        Check("neighbours in different spans", 0.0, _parted, "exact"),
    )


def _share(masking: RandomTokens, pieces: Pieces, masked: Masked) -> np.ndarray:
    number = pieces.free_lengths
    taken = counts_of(pieces.piece[masked.index], pieces.count)
    surplus = (1 - masking.rate) ** number - masking.rate**number
    return np.stack([taken - surplus, number], axis=1)[number > 1]


def _pairs(masking: RandomTokens, pieces: Pieces, masked: Masked) -> np.ndarray:
    """(both hidden, all) pairs of neighbours; where all were hidden, those lost are added."""
    picked = np.zeros(len(pieces.tokens), bool)
    picked[masked.index] = True
    free = np.flatnonzero(pieces.free)
    piece, picked = pieces.piece[free], picked[free]
    same = piece[1:] == piece[:-1]
    both = counts_of(piece[1:], pieces.count, same & picked[1:] & picked[:-1])
    pairs = counts_of(piece[1:], pieces.count, same)
    number = pieces.free_lengths
    # All hidden, one then spared: it parts two pairs, or one if it stands at an end.
    lost = masking.rate**number * (2 - 2 / np.maximum(number, 1))
    return np.stack([both + lost, pairs], axis=1)[pairs > 0]


def _parted(pieces: Pieces, masked: Masked) -> np.ndarray:
    """Neighbours among the ordinary tokens: one span if and only if both hidden side by side."""
    order = np.cumsum(pieces.free)[masked.index]
    piece = pieces.piece[masked.index]
    side = (np.diff(order) == 1) & (np.diff(piece) == 0)
    return side != ((np.diff(masked.span) == 0) & (np.diff(piece) == 0))


@masking_checks.register
def random_spans(masking: RandomSpans) -> tuple[Check, ...]:
    """Numbers, first and last token, the spread of the parts, and the first span."""
    return (
        Check(
            "hidden tokens other than round(rate·m)",
            0.0,
            functools.partial(_off_tokens, masking),
            "exact",
        ),
        Check(
            "spans other than round(hidden / length)",
            0.0,
            functools.partial(_off_spans, masking),
            "exact",
        ),
        Check("pieces that begin hidden or end unhidden", 0.0, _ends, "exact"),
        Check("spread of the first span, beyond chance", 0.0, _spread(_lengths), "mean"),
        Check("spread of the first gap, beyond chance", 0.0, _spread(_gaps), "mean"),
        Check("length of the first span, as a share of the mean", 1.0, _first, "mean"),
    )


def _off_tokens(masking: RandomSpans, pieces: Pieces, masked: Masked) -> np.ndarray:
    seen = counts_of(pieces.piece[masked.index], pieces.count)
    return seen - masking.counts(pieces.free_lengths)[0]


def _off_spans(masking: RandomSpans, pieces: Pieces, masked: Masked) -> np.ndarray:
    return masked.number(pieces) - masking.counts(pieces.free_lengths)[1]


def _lengths(pieces: Pieces, masked: Masked) -> tuple[np.ndarray, np.ndarray]:
    """(piece, tokens) of each span."""
    first = np.flatnonzero(masked.begins(pieces))
    return pieces.piece[masked.index[first]], np.diff(np.append(first, len(masked.index)))


def _gaps(pieces: Pieces, masked: Masked) -> tuple[np.ndarray, np.ndarray]:
    """(piece, tokens that stay before it) of each span."""
    seen = sums_before(pieces.free, pieces.piece, pieces.count)
    first = np.flatnonzero(masked.begins(pieces))
    piece, length = _lengths(pieces, masked)
    start = seen[masked.index[first]]
    before = np.concatenate([[0], (start + length)[:-1]])
    before[np.diff(piece, prepend=-1) != 0] = 0
    return piece, start - before


def _spread(parts):
    """(first part - 1)² against its mean, for a whole n cut into K parts, every cut as likely.

    With m = n - K to share out, E[y²] = m (2m + K - 1) / (K (K + 1)); given as a share of that.
    """

    def surplus(pieces: Pieces, masked: Masked) -> np.ndarray:
        piece, length = parts(pieces, masked)
        number = counts_of(piece, pieces.count)
        whole = np.bincount(piece, weights=length, minlength=pieces.count)[number > 0]
        number = number[number > 0]
        spare = whole - number
        mean = spare * (2 * spare + number - 1) / (number * (number + 1))
        lead = length[np.diff(piece, prepend=-1) != 0] - 1
        return (lead**2 - mean) / np.maximum(mean, 1)

    return surplus


def _first(pieces: Pieces, masked: Masked) -> np.ndarray:
    piece, length = _lengths(pieces, masked)
    number = counts_of(piece, pieces.count)
    whole = np.bincount(piece, weights=length, minlength=pieces.count)
    lead = length[np.diff(piece, prepend=-1) != 0]
    return lead * number[number > 0] / whole[number > 0]


def _ends(pieces: Pieces, masked: Masked) -> np.ndarray:
    picked = np.zeros(len(pieces.tokens), bool)
    picked[masked.index] = True
    free = np.flatnonzero(pieces.free)
    number, piece = pieces.free_lengths, pieces.piece[free]
    rank = np.arange(len(free)) - starts_of(number)[piece]
    several = number[piece] > 1
    first, last = several & (rank == 0), several & (rank == number[piece] - 1)
    return np.concatenate([picked[free[first]], ~picked[free[last]]])


@masking_checks.register
def suffix(masking: Suffix) -> tuple[Check, ...]:
    """It is the end, not too long, and its length is uniform."""
    return (
        Check("hidden tokens before one that stays", 0.0, _inner, "exact"),
        Check(
            "suffixes of no token, or of too many",
            0.0,
            functools.partial(_beyond, masking),
            "exact",
        ),
        Check(
            "length of the suffix, from shortest to longest",
            0.5,
            functools.partial(_place, masking),
            "mean",
        ),
        Check(
            "spread of the suffix, beyond that of a uniform one",
            0.0,
            functools.partial(_square, masking),
            "mean",
        ),
    )


def _sizes(masking: Suffix, pieces: Pieces, masked: Masked) -> tuple[np.ndarray, np.ndarray]:
    """(hidden tokens, longest suffix) of the pieces with a choice."""
    size = counts_of(pieces.piece[masked.index], pieces.count)
    top = masking.longest(pieces.free_lengths)
    return size[top > 1], top[top > 1]


def _beyond(masking: Suffix, pieces: Pieces, masked: Masked) -> np.ndarray:
    size = counts_of(pieces.piece[masked.index], pieces.count)
    top = masking.longest(pieces.free_lengths)
    return (size > top) | ((size < 1) & (top > 0))


def _place(masking: Suffix, pieces: Pieces, masked: Masked) -> np.ndarray:
    size, top = _sizes(masking, pieces, masked)
    return (size - 1) / (top - 1)


def _square(masking: Suffix, pieces: Pieces, masked: Masked) -> np.ndarray:
    size, top = _sizes(masking, pieces, masked)
    return ((size - 1) / (top - 1)) ** 2 - (2 * top - 1) / (6 * (top - 1))


def _inner(pieces: Pieces, masked: Masked) -> np.ndarray:
    picked = np.zeros(len(pieces.tokens), bool)
    picked[masked.index] = True
    free = np.flatnonzero(pieces.free)
    piece, picked = pieces.piece[free], picked[free]
    return picked[:-1] & ~picked[1:] & (piece[1:] == piece[:-1])


@masking_checks.register
def gap_sentences(masking: GapSentences) -> tuple[Check, ...]:
    """Whole sentences, as many as due, and none that says less than one that stays."""
    return (
        Check("sentences hidden in part", 0.0, _partly, "exact"),
        Check(
            "hidden sentences fewer or more than due",
            0.0,
            functools.partial(_number, masking),
            "exact",
        ),
        Check(
            "hidden sentences with a lower score than one left",
            0.0,
            functools.partial(_lower, masking),
            "exact",
        ),
    )


def _number(masking: GapSentences, pieces: Pieces, masked: Masked) -> np.ndarray:
    _, _, piece = whole_sentences(pieces)
    number = counts_of(piece, pieces.count)
    seen = counts_of(piece, pieces.count, _taken(pieces, masked) > 0)
    return (seen < due(masking.low, number)) | (seen > due(masking.high, number))


def _lower(masking: GapSentences, pieces: Pieces, masked: Masked) -> np.ndarray:
    _, _, piece = whole_sentences(pieces)
    taken, value = _taken(pieces, masked) > 0, rouge(pieces)
    low, high = np.full(pieces.count, np.inf), np.full(pieces.count, -np.inf)
    np.minimum.at(low, piece[taken], value[taken] * (1 + masking.noise))
    np.maximum.at(high, piece[~taken], value[~taken] * (1 - masking.noise))
    return low < high - 1e-12


def _taken(pieces: Pieces, masked: Masked) -> np.ndarray:
    """Hidden tokens of each sentence."""
    first, _, _ = whole_sentences(pieces)
    rank = np.cumsum(pieces.free)[masked.index] - 1
    return counts_of(np.searchsorted(first, rank, side="right") - 1, len(first))


def _partly(pieces: Pieces, masked: Masked) -> np.ndarray:
    _, size, _ = whole_sentences(pieces)
    taken = _taken(pieces, masked)
    return (taken > 0) & (taken < size)


@masking_checks.register
def mixed(masking: Mixed) -> tuple[Check, ...]:
    """The shares, and each denoiser's own checks on its own pieces."""

    def share(pieces: Pieces, masked: Masked) -> np.ndarray:
        kind = cast(np.ndarray, masked.kind)
        return np.bincount(kind[pieces.lengths > 0], minlength=len(masking.denoisers))

    own = (
        check.through(_of(number), f"denoiser {number}")
        for number, denoiser in enumerate(masking.denoisers)
        for check in masking_checks(denoiser.masking)
    )
    shares = tuple(float(part) for part in masking.shares)
    return (Check("shares of the denoisers", shares, share, "shares"), *own)


def _of(number: int):
    def view(pieces: Pieces, masked: Masked) -> tuple[Pieces, Masked]:
        """The pieces of one denoiser; the others are empty."""
        kind = cast(np.ndarray, masked.kind)
        mine = kind[pieces.piece] == number
        kept = kind[pieces.piece[masked.index]] == number
        return pieces.take(np.flatnonzero(mine)), masked.take(kept, np.cumsum(mine) - 1)

    return view
