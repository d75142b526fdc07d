"""The trials as points of value against energy, with their front, out of characters."""

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fxformer.search.report import Account
from fxformer.track import formatting
from fxformer.track.text_chart import dots

_MARKS = {"complete": "•", "pruned": "◦"}
_EDGE, _HEIGHT = 11, 10  # characters
_LEFT = ("study", "sampler", "state", "key", "parameters", "", " ")


def front_of(account: Account, width: int) -> Group | None:
    """Points, the front as a line, its trials as a list; None while nothing has a value."""
    if not account.points:
        return None
    wh = np.array([1000 * trial.kwh for trial, _ in account.points])
    values = np.array([value for _, value in account.points])
    slots = [trial.slot for trial, _ in account.points]
    best = [slots.index(slot) for slot in account.front]
    far = _far(np.array([account.study.cost(value) for value in values]))
    seen = [n for n in range(len(slots)) if not far[n] or n in best]
    lines = _chart(account, wh, values, best, seen, width - _EDGE - 5)
    if len(seen) < len(slots):
        lines.append(Text(f"{len(slots) - len(seen)} far worse ones are not drawn", style="dim"))
    table = columns("Wh", account.study.objectives[0], "trial", "parameters")
    for n in best:
        trial, value = account.points[n]
        cells = (f"{wh[n]:.3g}", number(value), str(trial.slot), " ".join(trial.overrides))
        table.add_row(*(Text(formatting.safe(cell)) for cell in cells))
    return Group(*lines, Text(), table)


def _chart(account, wh, values, best, seen, width: int) -> list[Text]:
    curves = [(wh[best], values[best]), *((wh[[n]], values[[n]]) for n in seen)]
    rows, xs, ys = dots(curves, width, _HEIGHT)
    marks = {0: f"{number(ys[1])} ", _HEIGHT - 1: f"{number(ys[0])} "}
    lines = []
    for n, cells in enumerate(rows):
        line = Text(marks.get(n, "").rjust(_EDGE), style="dim")
        for character, owner in cells:
            if owner > 0:  # 0 is the line of the front
                point = seen[owner - 1]
                character = _MARKS[account.points[point][0].state]
                line.append(character, style="green" if point in best else "default not dim")
            else:
                line.append(character)
        lines.append(line)
    left, right = formatting.si(xs[0]), formatting.si(xs[1], "Wh")
    return [*lines, Text(" " * _EDGE + left + right.rjust(width - len(left)), style="dim")]


def _far(costs: np.ndarray) -> np.ndarray:
    """What would squeeze the others into a line: beyond five times the better half's spread."""
    middle = np.median(costs)
    return costs > middle + 5 * (middle - costs.min()) if len(costs) > 4 else costs > np.inf


def columns(*names: str) -> Table:
    """A table without lines, numbers to the right."""
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in names:
        side = "left" if name in _LEFT else "right"
        table.add_column(formatting.safe(name), justify=side, overflow="fold")
    return table


def number(value: object) -> str:
    """A parameter or a value, five digits of a float."""
    return "–" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
