"""Spans that may overlap, as two released models had them: placing them, and what that leaves.

Where spans overlap, what is covered twice is hidden once, so less is hidden than was meant.
"""

import dataclasses

import numpy as np
from scipy import special

from fxformer.objective.pieces import Pieces


def covered(free: np.ndarray, piece: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Which ordinary tokens lie in a span that began earlier in their piece. [n] bool.

    free, piece: [n] the ordinary tokens and their pieces; length: [n] of the span that begins at
    each, 0 where none does. A span ends with its piece at the latest.
    """
    place = np.arange(len(free))
    last = np.searchsorted(piece, piece, side="right")  # where the token's piece ends
    reach = np.maximum.accumulate(np.minimum(place + length, last)) if len(free) else place
    return np.append(False, reach[:-1] > place[1:]) if len(free) else np.zeros(0, bool)


def marked(pieces: Pieces, at: np.ndarray, gone: np.ndarray, empty: np.ndarray, mask: int):
    """The pieces with masks put before the tokens `at` [k] and without those in `gone` [n] bool.

    empty: [k] bool, masks that hide nothing
    """
    kept = np.flatnonzero(~gone)
    order = np.argsort(np.concatenate([2 * at, 2 * kept + 1]), kind="stable")
    source = np.concatenate([at, kept])[order]
    is_mark = np.concatenate([np.ones(len(at), bool), np.zeros(len(kept), bool)])[order]
    is_empty = np.concatenate([empty, np.zeros(len(kept), bool)])[order]
    taken = pieces.take(source)
    return dataclasses.replace(
        taken,
        tokens=np.where(is_mark, mask, taken.tokens).astype(np.int32),
        free=taken.free & ~is_mark,
        end=taken.end & ~is_mark,
        spare=np.where(is_mark, is_empty, taken.spare),
        origin=np.where(is_mark, -1, source),
    )


def more_than(mean: float) -> np.ndarray:
    """P(Poisson(mean) > j) for j = 0, 1, … until it is below 1e-12."""
    tail = special.pdtrc(np.arange(int(mean + 12 * np.sqrt(mean) + 40)), mean)
    return tail[: int(np.argmax(tail < 1e-12))]
