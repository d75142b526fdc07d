"""Spans that may overlap, as two released models had them: placing them, and what that leaves.

Where spans overlap, what is covered twice is hidden once, so less is hidden than was meant.
"""

import dataclasses

import numpy as np
from scipy import special

from fxformer.batch import Vocabulary
from fxformer.objective.law import Law
from fxformer.objective.noise.marks import Marks
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of

STATED = 512  # tokens of the piece for which the hidden share is stated


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


def overlap_laws(rate: float, expected, vocabulary: Vocabulary) -> tuple[Law, ...]:
    """What is hidden and marked. expected(m) -> (hidden tokens, marks) of m ordinary ones."""
    stated = expected(STATED)[0] / STATED

    def share(before: Pieces, after: Pieces) -> np.ndarray:
        number, hidden, _ = counted(before, after)
        due = np.array([expected(int(m))[0] for m in number])
        return np.stack([hidden + (stated * number - due), number], axis=1)

    def marks(before: Pieces, after: Pieces) -> np.ndarray:
        number, _, shown = counted(before, after)
        return shown - np.array([expected(int(m))[1] for m in number])

    def others(before: Pieces, after: Pieces) -> np.ndarray:
        return after.tokens[after.origin < 0] != vocabulary.mask

    name = f"hidden share of {STATED} tokens, {rate:g} less what overlaps"
    return (
        Law(name, stated, share, "ratio"),
        Law("marks beyond those expected, per piece", 0.0, marks, "mean"),
        Law("marks other than the mask", 0.0, others, "exact"),
    )


def counted(before: Pieces, after: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ordinary tokens, hidden ones, marks) of each piece that has ordinary tokens."""
    number, left = before.free_lengths, after.origin >= 0
    kept = counts_of(after.piece[left], before.count, before.free[after.origin[left]])
    shown = counts_of(after.piece, before.count, ~left)
    return number[number > 0], (number - kept)[number > 0], shown[number > 0]


def hiding_nothing(before: Pieces, after: Pieces) -> np.ndarray:
    """Of the marks that stand alone, which are for an empty span. bool."""
    seen = Marks.of(before, after)
    return seen.length[seen.alone] == 0


def more_than(mean: float) -> np.ndarray:
    """P(Poisson(mean) > j) for j = 0, 1, … until it is below 1e-12."""
    tail = special.pdtrc(np.arange(int(mean + 12 * np.sqrt(mean) + 40)), mean)
    return tail[: int(np.argmax(tail < 1e-12))]
