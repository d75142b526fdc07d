"""Checks of infilling whose spans may overlap: what is left of the rate."""

import numpy as np

from fxformer.batch import Vocabulary
from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks.dispatch import noise_checks
from fxformer.evaluate.audit.checks.infilling_marks import Marks
from fxformer.evaluate.audit.checks.noise_base import honest, in_order, unchanged
from fxformer.objective.noise.overlapping import OverlappingInfilling
from fxformer.objective.noise.scatter import ScatteredInfilling
from fxformer.objective.pieces import Pieces
from fxformer.objective.segments import counts_of

STATED = 512  # tokens of the piece for which the hidden share is stated


@noise_checks.register
def overlapping_infilling(noise: OverlappingInfilling, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """What overlapping leaves of the rate."""
    return (
        *honest(),
        in_order(),
        unchanged(),
        *overlap_checks(noise.rate, noise.expected, vocabulary),
    )


@noise_checks.register
def scattered_infilling(noise: ScatteredInfilling, vocabulary: Vocabulary) -> tuple[Check, ...]:
    """What overlapping leaves of the rate, and that no mark stands for nothing."""
    return (
        *honest(),
        in_order(),
        unchanged(),
        *overlap_checks(noise.rate, noise.expected, vocabulary),
        Check("marks that hide nothing", 0.0, hiding_nothing, "exact"),
    )


def overlap_checks(rate: float, expected, vocabulary: Vocabulary) -> tuple[Check, ...]:
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
        Check(name, stated, share, "ratio"),
        Check("marks beyond those expected, per piece", 0.0, marks, "mean"),
        Check("marks other than the mask", 0.0, others, "exact"),
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
