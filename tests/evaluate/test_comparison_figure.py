"""Figure of a comparison: a panel for each score, an interval for each run that has it."""

from types import SimpleNamespace

import numpy as np

from fxformer.evaluate.compare import Compared
from fxformer.evaluate.comparison_figure import comparison_figure, task_comparison_figure
from fxformer.evaluate.scores import RatioEstimate, RunScores
from fxformer.evaluate.task_comparison import Cell, SeedGroup, TaskComparison
from fxformer.figures.svg import svg
from fxformer.track.evaluations import ScoreColumn


def test_scores_on_the_same_words():
    each = RatioEstimate.of(np.array([4.0, 6.0, 5.0]), np.ones(3))
    runs = [
        (SimpleNamespace(id="2026-11-30_10-00-00_bert"), None, RunScores(each, None, each)),
        (SimpleNamespace(id="2026-11-30_10-00-01_gpt"), None, RunScores(each, None, None)),
    ]
    drawn = svg(comparison_figure(Compared("joules", 5.0, True, 1.0, 3, 0, None, None, runs)))
    assert drawn.count("<circle") == 3 and "given both sides" in drawn and "probe," not in drawn
    assert "5.000 [3.868, 6.132]" in drawn and "no more than 5 joules each" in drawn


def test_scores_of_labelled_tasks():
    column = ScoreColumn("valid", "accuracy", "", "valid accuracy")
    group = SeedGroup("tuned", [], {column.key: Cell(0.9, 0.8, 0.95, 3)}, [])
    other = SeedGroup("other", [], {}, [])
    drawn = svg(task_comparison_figure(TaskComparison([column], [group, other])))
    assert drawn.count("<circle") == 1 and "valid accuracy" in drawn and "tuned" in drawn
