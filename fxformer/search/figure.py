"""Figure of a search: its configurations by rank, with intervals over seeds where there are any."""

from fxformer.figures.drawing import Drawing
from fxformer.figures.intervals import IntervalPanel, IntervalRow, interval_plot
from fxformer.search.configurations import SEED
from fxformer.search.report import StudyReport
from fxformer.search.study import Trial
from fxformer.track.mean_table import MeanTable, mean_table, summary_numbers
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import StoredRun

SHOWN = 20  # configurations, the best ones


def search_figure(report: StudyReport, most: int = SHOWN) -> Drawing:
    """Value of the first objective of the best configurations, the best first."""
    study = report.study
    rows = []
    for one in report.configurations[:most]:
        if one.value is None:
            continue
        value = one.value
        params = Redactor().value(dict(one.params))
        label = ", ".join(f"{key.rpartition('.')[2]} {v}" for key, v in params.items())
        text = f"{value.mean:.4g}"
        if value.low is not None and value.high is not None:
            text += f" [{value.low:.4g}, {value.high:.4g}]"
        rows.append(IntervalRow(label or "all", value.mean, value.low, value.high, text))
    direction = "higher" if study.objectives[0] in study.maximize else "lower"
    left = len(report.configurations) - len(rows)
    caption = f"Search {study.name}: {report.progress}; {direction} is better."
    caption += f" {left} more configurations are not shown." if left else ""
    legend = (
        "Means with 95 % intervals (Student's t) over seeds, where seeds repeat a configuration."
    )
    panel = IntervalPanel(study.objectives[0], rows)
    return interval_plot([panel], f"Configurations by {study.objectives[0]}", caption, legend)


def search_means(report: StudyReport, wanted: list[str]) -> MeanTable:
    """Mean and interval over seeds of each configuration's numbers, of its complete trials.
    UserError for a number that no run has."""
    done = [trial for trial in report.trials if trial.state == "complete" and trial.run]
    runs = [StoredRun(report.study.runs / str(trial.run)) for trial in done]
    settings = [_setting(trial) for trial in done]
    return mean_table(settings, [summary_numbers(run) for run in runs], wanted)


def _setting(trial: Trial) -> dict:
    return Redactor().value({key: v for key, v in trial.params.items() if key != SEED})
