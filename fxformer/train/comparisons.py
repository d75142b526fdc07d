"""Evaluations that compare a model: with its teacher, and with sources of other rows."""

from fxformer.track.run import Run
from fxformer.train.setup import Setup
from fxformer.train.source_use import SourceUse, source_use_of
from fxformer.train.teacher_evaluation import EvaluateTeacher


def comparisons_of(setup: Setup, run: Run) -> list[EvaluateTeacher | SourceUse]:
    """Callbacks with `lines`, what they add to the summary of a run."""
    found: list[EvaluateTeacher | SourceUse] = []
    if setup.teacher is not None:
        found.append(EvaluateTeacher(setup, setup.teacher, run))
    if (source := source_use_of(setup)) is not None:
        found.append(source)
    return found
