"""The metrics of a task say the directions and the signatures of its numbers."""

from types import SimpleNamespace

from fxformer.metrics.calibration import CalibrationError
from fxformer.metrics.classification import Accuracy
from fxformer.metrics.several import Several
from fxformer.task.base import RowTask
from fxformer.task.objective import TaskObjective


def test_directions_and_signatures_are_those_of_the_metrics():
    class Distance(Accuracy):
        names = ("distance",)
        higher_is_better = False

    judges = (Several((Accuracy(), CalibrationError(bins=7))), Distance())
    task = SimpleNamespace(judges=judges)
    objective = SimpleNamespace(task=task)
    assert RowTask.directions.fget(task) == {
        "accuracy": True,
        "ece": False,
        "distance": False,
    }
    assert TaskObjective.signatures.fget(objective) == {
        "accuracy": "accuracy|library:fxformer|version:1",
        "ece": "ece|bins:7|library:fxformer|version:1",
        "distance": "distance|library:fxformer|version:1",
    }
