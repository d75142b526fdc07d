"""Figure of a comparison: scores on the same words, or of labelled tasks, with intervals."""

from fxformer.evaluate.scores import RatioEstimate
from fxformer.evaluate.task_comparison import TaskComparison
from fxformer.figures.drawing import Drawing
from fxformer.figures.intervals import IntervalPanel, IntervalRow, interval_plot
from fxformer.inference.pipelines.cost import Z95
from fxformer.track.run_reader import name_of

SCORES = {
    "infill": "left-out words given both sides, bits per byte",
    "follow": "left-out words given the text before, bits per byte",
    "pseudo": "pseudo-likelihood of the words, bits per byte",
    "probe": "accuracy of a linear probe",
}


def comparison_figure(compared) -> Drawing:
    """A panel for each score that any run has, a row for each run. compared: a `Compared`"""
    panels = []
    for field, title in SCORES.items():
        found = [(run, getattr(scores, field)) for run, _, scores in compared.runs]
        rows = [_row(name_of(run.id), one) for run, one in found if one is not None]
        if rows:
            panels.append(IntervalPanel(title, rows))
    share = f"{compared.passages} passages of held-out text, the same for every run"
    cost = f"no more than {compared.budget:.4g} {compared.unit} each" if compared.equal else (
        f"not at equal {compared.unit}"
    )  # fmt: skip
    legend = "Bars: 95 % intervals over passages (or texts of the probe); lower bits are better."
    return interval_plot(panels, "Runs on the same words", f"{share}; {cost}.", legend)


def _row(name: str, one: RatioEstimate) -> IntervalRow:
    low, high = one.value - Z95 * one.error, one.value + Z95 * one.error
    return IntervalRow(name, one.value, low, high, f"{one.value:.3f} [{low:.3f}, {high:.3f}]")


def task_comparison_figure(compared: TaskComparison) -> Drawing:
    """A panel for each score of labelled tasks, a row for each group of runs."""
    panels = []
    for column in compared.columns:
        cells = [
            (one.name, one.cells[column.key]) for one in compared.groups if column.key in one.cells
        ]
        rows = [IntervalRow(name, c.value, c.low, c.high, str(c)) for name, c in cells]
        panels.append(IntervalPanel(column.title, rows))
    legend = (
        "Bars: 95 % intervals over seeds (Student's t), or over examples (bootstrap) of one run."
    )
    return interval_plot(panels, "Runs of labelled tasks", "", legend)
