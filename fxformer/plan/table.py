"""Forecasts on a terminal: costs, other regions, the best time to start."""

import dataclasses
import datetime
import math
import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fxformer.energy.carbon import JOULES_PER_KWH, Carbon, find_region
from fxformer.energy.hourly_csv import HOUR
from fxformer.plan import cluster
from fxformer.plan.forecast import Estimate, Forecast
from fxformer.track import formatting

HOURS_AHEAD = 24  # how long a start may be delayed


@dataclasses.dataclass(frozen=True)
class StartTime:
    """A time at which a run could start.

    seconds: since 1970; gco2e_per_kwh: mean over the run
    in_file: whether the hourly file has the hour of the start
    """

    seconds: float
    gco2e_per_kwh: float
    in_file: bool

    def text(self) -> str:
        """Day and time in this machine's time zone."""
        return f"{datetime.datetime.fromtimestamp(self.seconds).astimezone():%a %H:%M}"

    def to_json(self) -> dict:
        """JSON values."""
        when = datetime.datetime.fromtimestamp(self.seconds, datetime.UTC)
        return {
            "start": when.isoformat(timespec="seconds"),
            "in_file": self.in_file,
            "gco2e_per_kwh": self.gco2e_per_kwh,
        }


def start_times(carbon: Carbon, seconds: float, now: float | None = None) -> list[StartTime]:
    """Now, and each full hour of the next 24, for a run of `seconds` on an hourly grid."""
    if carbon.hourly is None:
        raise ValueError("start times need an hourly grid")
    has, now = carbon.hourly.has, time.time() if now is None else now
    hours = [(now // HOUR + n) * HOUR for n in range(1, HOURS_AHEAD + 1)]
    return [
        StartTime(when, carbon.mean_intensity(seconds, when), has(int(when // HOUR)))
        for when in (now, *hours)
    ]


def show(found: Forecast, carbon: Carbon, regions: Sequence[str], console: Console) -> None:
    """Print the forecast of one run, and its CO2 in other regions."""
    grid = _two_columns(_rows(found, carbon))
    table = _region_table(found.joules, found.seconds, carbon, regions)
    body = Group(grid, Text(), table, *_best_start(found.seconds, carbon))
    width = min(console.width, 100)
    console.print(Panel(body, title="plan", title_align="left", width=width))
    if found.cluster is not None:
        title = f"a step on {math.prod(found.cluster.mesh.values())} devices"
        lines = _two_columns(cluster.rows(found.cluster))
        console.print(Panel(lines, title=title, title_align="left", width=width))


def _two_columns(rows: Sequence[tuple[str, str]]) -> Table:
    """Names and values side by side."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for what, value in rows:
        grid.add_row(what, Text(value))
    return grid


def _rows(found: Forecast, carbon: Carbon) -> list[tuple[str, str]]:
    parts = ", ".join(
        f"{path} {formatting.count(count)}"
        for path, count in sorted(found.parts.items(), key=lambda item: -item[1])[:4]
    )
    memory = (
        "not compiled" if found.memory is None else f"{formatting.si(found.memory, 'B')} a device"
    )
    mfu = "" if found.mfu is None else f"; {found.mfu:.0%} of the peak (MFU)"
    multiplied = f"{formatting.si(found.executed, 'FLOP')} executed, with masked pairs and padding"
    work = f"{formatting.si(found.flops_per_token, 'FLOP')} a token ({multiplied}){mfu}"
    rows = [
        ("parameters", f"{found.parameters:,}  ({parts})"),
        ("FLOPs", work),
        ("", f"{formatting.si(found.flops, 'FLOP')} for {formatting.count(found.tokens)} tokens in "
             f"{found.steps} steps"),
        ("memory", memory),
        ("time", _with_interval(found.seconds, formatting.duration)),
        ("energy", f"{_kwh(found.joules, carbon)} ({formatting.si(found.joules.value, 'J')})"),
        ("method", found.method),
    ]  # fmt: skip
    return rows if found.budget is None else [*rows, ("budget", found.budget)]


def _with_interval(one: Estimate, write: Callable[[float], str]) -> str:
    """The value and its 95 % interval."""
    low, high = one.interval
    return f"{write(one.value)}  (95 %: {write(low)} – {write(high)})"


def _kwh(joules: Estimate, carbon: Carbon) -> str:
    return _with_interval(joules, lambda value: formatting.si(1000 * carbon.kwh(value), "Wh"))


def _region_table(
    one: Estimate, seconds: Estimate, carbon: Carbon, regions: Sequence[str]
) -> Table:
    """gCO2e of the same joules here and in other regions, the lowest carbon intensity first."""
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for name in ("the same run in", "g/kWh", "CO2e", "against here"):
        left = name.endswith("in")
        table.add_column(name, justify="left" if left else "right", no_wrap=not left)
    here = carbon.mean_intensity(seconds.value)
    scale = carbon.pue / JOULES_PER_KWH
    rows = [(f"here: {carbon.grid.name}", here, "")]
    for code in regions:
        grid = find_region(code)
        change = "" if not here else f"{grid.gco2e_per_kwh / here - 1:+.0%}"
        rows.append((f"{code}: {grid.name}", grid.gco2e_per_kwh, change))
    for name, intensity, change in sorted(rows, key=lambda row: row[1]):
        style = "bold" if name.startswith("here") else ""
        grams = Estimate(one.value * scale * intensity, one.sigma * scale * intensity)
        cells = (
            name,
            f"{intensity:.4g}",
            _with_interval(grams, lambda g: formatting.si(g, "g")),
            change,
        )
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table


def _best_start(seconds: Estimate, carbon: Carbon) -> list[Text]:
    """The best time to start, where the carbon intensity is known by the hour."""
    if carbon.hourly is None:
        return []
    now, *later = start_times(carbon, seconds.value)
    best = min(later, key=lambda one: one.gco2e_per_kwh)
    change = best.gco2e_per_kwh / now.gco2e_per_kwh - 1 if now.gco2e_per_kwh else 0.0
    words = f"started now: {now.gco2e_per_kwh:.4g} g/kWh over the run; "
    if change >= 0:
        return [Text(), Text(words + "no start in the next 24 hours is better")]
    words += f"started at {best.text()}: {best.gco2e_per_kwh:.4g} g/kWh, {change:+.0%}"
    return [Text(), Text(words + ("" if best.in_file else " (mean of that hour of the day)"))]


def show_sweep(
    found: Sequence[Forecast], carbon: Carbon, regions: Sequence[str], console: Console
) -> None:
    """Print the sum of all runs of a sweep, made one after the other on one machine."""
    seconds, joules = add_forecasts(found)
    lines = [
        Text(
            f"{len(found)} runs, one after the other: "
            f"{_with_interval(seconds, formatting.duration)}"
        ),
        Text(_kwh(joules, carbon)),
        _region_table(joules, seconds, carbon, regions),
        *_best_start(seconds, carbon),
    ]
    title = "the whole sweep"
    width = min(console.width, 100)
    console.print(Panel(Group(*lines), title=title, title_align="left", width=width))


def add_forecasts(found: Sequence[Forecast]) -> tuple[Estimate, Estimate]:
    """(seconds, joules) of several runs."""
    seconds, joules = found[0].seconds, found[0].joules
    for one in found[1:]:
        seconds, joules = seconds + one.seconds, joules + one.joules
    return seconds, joules
