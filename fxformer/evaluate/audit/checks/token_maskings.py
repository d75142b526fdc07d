"""Checks of maskings that select single tokens: rates, counts and places."""

import functools

import numpy as np

from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks.dispatch import masking_checks
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.tokens import ExactCount, Independent
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of


@masking_checks.register
def independent(masking: Independent) -> tuple[Check, ...]:
    """RatioEstimate between pieces and what was chosen of them."""
    return (
        Check(
            "selected share, the guaranteed target aside",
            masking.rate,
            functools.partial(_independent_share, masking),
            "ratio",
        ),
        Check("selected neighbours, share of pairs", masking.rate**2, _neighbours, "ratio"),
        at_least_one(),
    )


def _independent_share(masking: Independent, pieces: Pieces, masked: Masked) -> np.ndarray:
    free, taken = _free_and_taken(pieces, masked)
    return np.stack([taken - (1 - masking.rate) ** free, free], axis=1)


@masking_checks.register
def exact_count(masking: ExactCount) -> tuple[Check, ...]:
    """RatioEstimate between pieces and what was chosen of them."""
    return (
        Check("selected less than due", 0.0, functools.partial(_missing, masking), "exact"),
        Check(
            "selected share, rounding aside",
            masking.rate,
            functools.partial(_exact_share, masking),
            "ratio",
        ),
        Check("place of a selected token in its piece", 0.5, _place, "mean"),
        Check(
            "selected neighbours, against chance", 0.0, functools.partial(_clumps, masking), "ratio"
        ),
        at_least_one(),
    )


def _missing(masking: ExactCount, pieces: Pieces, masked: Masked) -> np.ndarray:
    free, taken = _free_and_taken(pieces, masked)
    return masking.due(free) - taken


def _exact_share(masking: ExactCount, pieces: Pieces, masked: Masked) -> np.ndarray:
    free, taken = _free_and_taken(pieces, masked)
    return np.stack([taken - (masking.due(free) - masking.rate * free), free], axis=1)


def _clumps(masking: ExactCount, pieces: Pieces, masked: Masked) -> np.ndarray:
    free, _ = _free_and_taken(pieces, masked)
    free, due = free[free > 1], masking.due(free[free > 1])
    pairs = _neighbours(pieces, masked)
    pairs[:, 0] -= pairs[:, 1] * due * (due - 1) / (free * (free - 1))
    return pairs


def at_least_one() -> Check:
    """Every piece with an ordinary token has a target."""

    def empty(pieces: Pieces, masked: Masked) -> np.ndarray:
        return _free_and_taken(pieces, masked)[1] == 0

    return Check("pieces without a target", 0.0, empty, "exact")


def _free_and_taken(pieces: Pieces, masked: Masked) -> tuple[np.ndarray, np.ndarray]:
    """(ordinary tokens, chosen ones) of each piece that has any. Both int64."""
    free = pieces.free_lengths
    taken = counts_of(pieces.piece[masked.index], pieces.count)
    return free[free > 0], taken[free > 0]


def _neighbours(pieces: Pieces, masked: Masked) -> np.ndarray:
    """(both chosen, all) pairs of neighbouring ordinary tokens, for each piece of two or more.

    Exactly rate² for independent choices: the guaranteed target is alone in its piece.
    """
    picked = np.zeros(len(pieces.tokens), bool)
    picked[masked.index] = True
    free = np.flatnonzero(pieces.free)
    piece, picked = pieces.piece[free], picked[free]
    same = piece[1:] == piece[:-1]
    both = counts_of(piece[1:], pieces.count, same & picked[1:] & picked[:-1])
    pairs = counts_of(piece[1:], pieces.count, same)
    return np.stack([both, pairs], axis=1)[pairs > 0].astype(np.float64)


def _place(pieces: Pieces, masked: Masked) -> np.ndarray:
    """Mean over the chosen of a piece of (position among its ordinary tokens + ½) / m."""
    free = np.flatnonzero(pieces.free)
    rank = np.zeros(len(pieces.tokens))
    _, rank[free] = _numbered_free(pieces, free)
    piece = pieces.piece[masked.index]
    place = (rank[masked.index] + 0.5) / pieces.free_lengths[piece]
    number = counts_of(piece, pieces.count)
    total = np.bincount(piece, weights=place, minlength=pieces.count)
    return total[number > 0] / number[number > 0]


def _numbered_free(pieces: Pieces, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    piece = pieces.piece[free]
    first = np.cumsum(pieces.free_lengths) - pieces.free_lengths
    return piece, np.arange(len(free)) - first[piece]
