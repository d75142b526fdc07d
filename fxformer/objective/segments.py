"""Ranks, starts and sums within segments of a flat array, without a loop over segments.

A segment is a run of equal values in an ascending array `piece` of 0 … count-1; a segment may be
empty. Everything here is O(n) except the orders, which sort.
"""

import numpy as np

from fxformer.errors import UserError


def counts_of(piece: np.ndarray, count: int, where: np.ndarray | None = None) -> np.ndarray:
    """How many elements (for which `where` holds) each segment has. [count] int64."""
    return np.bincount(piece if where is None else piece[where], minlength=count)


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Where each segment begins, given the lengths. [count] int64."""
    return np.cumsum(counts) - counts


def numbered(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(piece, rank) of each element of segments with these lengths. Both [sum of counts] int64."""
    piece = np.repeat(np.arange(len(counts)), counts)
    return piece, np.arange(len(piece)) - starts_of(counts)[piece]


def ranks_of(piece: np.ndarray, count: int) -> np.ndarray:
    """0, 1, 2 … within each segment. [n] int64."""
    return np.arange(len(piece)) - starts_of(counts_of(piece, count))[piece]


def sums_before(values: np.ndarray, piece: np.ndarray, count: int) -> np.ndarray:
    """The sum of the values that come earlier in the same segment. [n], int64 for whole numbers."""
    before = np.concatenate([[0], np.cumsum(values.astype(np.int64))])
    return before[:-1] - before[starts_of(counts_of(piece, count))][piece]


def order_within(piece: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """The permutation that sorts by (piece, bits), ties by position. [n] int64.

    Only the upper 40 bits count, so that piece and bits fit one word and one sort; they are cut
    in the same way wherever a piece stands, which keeps its order independent of its row.
    """
    if len(piece) and piece[-1] >= 1 << 24:
        raise UserError(f"{piece[-1] + 1} pieces in one batch; at most {1 << 24} can be ordered")
    word = (piece.astype(np.uint64) << np.uint64(40)) | (bits >> np.uint64(24))
    return np.argsort(word, kind="stable")


def smallest(piece: np.ndarray, bits: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The number[p] elements of each segment p with the smallest bits, in the order of their bits.

    Returns their indices [sum of min(number, counts)] int64, grouped by segment. This is how a
    fixed count is drawn without replacement, every subset (and every order) equally likely.
    """
    order = order_within(piece, bits)
    return order[ranks_of(piece, len(number)) < number[piece]]
