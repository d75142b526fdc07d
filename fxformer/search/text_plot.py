"""Text plot of value vs. energy of the trials of a study, with the Pareto front."""

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fxformer.search.report import StudyReport
from fxformer.track import formatting
from fxformer.track.text_chart import dots

_MARKS = {"complete": "•", "pruned": "◦"}
_EDGE, _HEIGHT = 11, 10  # characters
_LEFT = ("study", "sampler", "state", "key", "parameters", "", " ")


def pareto_plot(report: StudyReport, width: int) -> Group | None:
    """Plot and table of the Pareto front; None while no trial has a value.

    width: characters
    """
    if not report.points:
        return None
    wh = np.array([1000 * trial.kwh for trial, _ in report.points])
    values = np.array([value for _, value in report.points])
    slots = [trial.slot for trial, _ in report.points]
    best = [slots.index(slot) for slot in report.pareto]
    outliers = _outliers(np.array([report.study.cost(value) for value in values]))
    drawn = [n for n in range(len(slots)) if not outliers[n] or n in best]
    lines = _chart(report, wh, values, best, drawn, width - _EDGE - 5)
    if len(drawn) < len(slots):
        lines.append(
            Text(f"{len(slots) - len(drawn)} much worse trials are not drawn", style="dim")
        )
    table = columns("Wh", report.study.objectives[0], "trial", "parameters")
    for n in best:
        trial, value = report.points[n]
        cells = (f"{wh[n]:.3g}", number(value), str(trial.slot), " ".join(trial.overrides))
        table.add_row(*(Text(formatting.safe(cell)) for cell in cells))
    return Group(*lines, Text(), table)


def _chart(report, wh, values, best, drawn, width: int) -> list[Text]:
    curves = [(wh[best], values[best]), *((wh[[n]], values[[n]]) for n in drawn)]
    rows, xs, ys = dots(curves, width, _HEIGHT)
    marks = {0: f"{number(ys[1])} ", _HEIGHT - 1: f"{number(ys[0])} "}
    lines = []
    for n, cells in enumerate(rows):
        line = Text(marks.get(n, "").rjust(_EDGE), style="dim")
        for character, owner in cells:
            if owner > 0:  # 0 is the line of the Pareto front
                point = drawn[owner - 1]
                character = _MARKS[report.points[point][0].state]
                line.append(character, style="green" if point in best else "default not dim")
            else:
                line.append(character)
        lines.append(line)
    left, right = formatting.si(xs[0]), formatting.si(xs[1], "Wh")
    return [*lines, Text(" " * _EDGE + left + right.rjust(width - len(left)), style="dim")]


def _outliers(costs: np.ndarray) -> np.ndarray:
    """Mask of costs beyond five times the spread of the better half, [N] bool."""
    middle = np.median(costs)
    return costs > middle + 5 * (middle - costs.min()) if len(costs) > 4 else costs > np.inf


def columns(*names: str) -> Table:
    """A table without borders, numbers aligned to the right."""
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in names:
        side = "left" if name in _LEFT else "right"
        table.add_column(formatting.safe(name), justify=side, overflow="fold")
    return table


def number(value: object) -> str:
    """A parameter or a value as text, floats with five digits."""
    return "–" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
