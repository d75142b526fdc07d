"""Checks that hold for every noise, or for all of a kind."""

import numpy as np

from fxformer.evaluate.audit.check import Check
from fxformer.objective.pieces import Pieces


def honest() -> tuple[Check, ...]:
    """Checks of every noise: what is kept is kept, borders and ends hold."""
    return (
        Check("tokens that crossed a border between pieces", 0.0, _crossed, "exact"),
        Check("special tokens at an end lost or moved", 0.0, _ends_moved, "exact"),
        Check("special tokens of the text lost", 0.0, _specials_lost, "exact"),
        Check("tokens used twice", 0.0, _repeated, "exact"),
    )


def unchanged() -> Check:
    """For noises that keep or drop tokens without replacing any in place."""

    def differs(before: Pieces, after: Pieces) -> np.ndarray:
        kept = after.origin >= 0
        return after.tokens[kept] != before.tokens[after.origin[kept]]

    return Check("tokens changed on the way", 0.0, differs, "exact")


def in_order() -> Check:
    """For noises that leave the order alone."""

    def backwards(before: Pieces, after: Pieces) -> np.ndarray:
        origin = after.origin[after.origin >= 0]
        return origin[1:] <= origin[:-1]

    return Check("tokens out of order", 0.0, backwards, "exact")


def complete() -> Check:
    """For noises that only move tokens: every piece has the tokens it had."""

    def differs(before: Pieces, after: Pieces) -> np.ndarray:
        if len(before.tokens) != len(after.tokens):
            return np.ones(1, bool)
        old = np.lexsort((before.tokens, before.piece))
        new = np.lexsort((after.tokens, after.piece))
        return before.tokens[old] != after.tokens[new]

    return Check("multiset of a piece's tokens changed", 0.0, differs, "exact")


def _crossed(before: Pieces, after: Pieces) -> np.ndarray:
    kept = after.origin >= 0
    return after.piece[kept] != before.piece[after.origin[kept]]


def _ends_moved(before: Pieces, after: Pieces) -> np.ndarray:
    """Each end token stands as far from its end of the piece as it did, and is the same token."""
    return np.concatenate([_end_differs(before, after, side) for side in (0, 1)])


def _end_differs(before: Pieces, after: Pieces, side: int) -> np.ndarray:
    lead = _side(before) == side
    place = np.flatnonzero(before.end & lead)
    piece = before.piece[place]
    if side == 0:
        there = _first(after)[piece] + (place - _first(before)[piece])
    else:
        there = (_first(after) + after.lengths)[piece] - (
            (_first(before) + before.lengths)[piece] - place
        )
    there = np.clip(there, 0, max(len(after.tokens) - 1, 0))
    if not len(after.tokens):
        return np.ones(len(place), bool)
    return (after.tokens[there] != before.tokens[place]) | (after.piece[there] != piece)


def _side(pieces: Pieces) -> np.ndarray:
    """0 for a token in the first half of its piece, 1 in the second. [n]."""
    return (2 * pieces.ranks >= pieces.lengths[pieces.piece]).astype(np.int64)


def _first(pieces: Pieces) -> np.ndarray:
    lengths = pieces.lengths
    return np.cumsum(lengths) - lengths


def _specials_lost(before: Pieces, after: Pieces) -> np.ndarray:
    left = np.zeros(len(before.tokens), bool)
    left[after.origin[after.origin >= 0]] = True
    return ~left[~before.free]


def _repeated(before: Pieces, after: Pieces) -> np.ndarray:
    return np.bincount(after.origin[after.origin >= 0], minlength=len(before.tokens)) > 1
