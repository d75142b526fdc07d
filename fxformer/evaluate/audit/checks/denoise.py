"""Checks of denoising: each noise at its own stage, the source, and the target."""

import functools
from collections.abc import Callable

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.evaluate.audit.check import Check, once
from fxformer.evaluate.audit.checks.dispatch import noise_checks, objective_checks
from fxformer.evaluate.audit.checks.shift_right import answer_checks
from fxformer.objective.denoise import DenoisingLM, fit
from fxformer.objective.pieces import Pieces


@objective_checks.register
def denoising_lm(objective: DenoisingLM) -> tuple[Check, ...]:
    """Each noise's, seen at its own stage, and those of source and answer."""
    stages = once(lambda rows, batch: objective.stages(rows))
    of_noises = (
        check.through(_stage(stages, index), type(noise).__name__)
        for index, noise in enumerate(objective.noises)
        for check in noise_checks(noise, objective.vocabulary)
    )
    return (
        *of_noises,
        Check(
            "source other than the corrupted pieces",
            0.0,
            functools.partial(_source_differs, objective),
            "exact",
        ),
        *answer_checks(getattr(objective.vocabulary, objective.start)),
    )


def _source_differs(objective: DenoisingLM, rows: Rows, batch: Batch) -> np.ndarray:
    """Row by row: the source, piece by piece under its segment id, is the last stage."""
    last = objective.stages(rows)[-1]
    height, width = batch.source.shape
    last = fit(last, height, width)
    inside = batch.source_segments > 0
    there = np.flatnonzero(inside.ravel())
    if len(there) != len(last.tokens):
        return np.ones(1, bool)
    wrong = batch.source.ravel()[there] != last.tokens
    wrong |= batch.source_segments.ravel()[there] != last.segment[last.piece]
    wrong |= there // width != last.row[last.piece]
    padding = batch.source[~inside] != objective.vocabulary.pad
    return np.concatenate([wrong, padding])


def _stage(stages: Callable[[Rows, Batch], list[Pieces]], index: int) -> Callable:
    def view(rows: Rows, batch: Batch) -> tuple[Pieces, Pieces]:
        return stages(rows, batch)[index], stages(rows, batch)[index + 1]

    return view
