"""A forecast on a terminal."""

from collections.abc import Sequence

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fxformer.energy.carbon import JOULES_PER_KWH, Carbon, find_region
from fxformer.plan.forecast import Forecast, Spread
from fxformer.plan.start import starts
from fxformer.track import formatting


def show(found: Forecast, carbon: Carbon, elsewhere: Sequence[str], console: Console) -> None:
    """One run: what it is, what it takes, what that is elsewhere."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for what, value in _facts(found, carbon):
        grid.add_row(what, Text(value))
    places = _places(found.joules, found.seconds, carbon, elsewhere)
    body = Group(grid, Text(), places, *_when(found.seconds, carbon))
    console.print(Panel(body, title="plan", title_align="left", width=min(console.width, 100)))


def _facts(found: Forecast, carbon: Carbon) -> list[tuple[str, str]]:
    parts = ", ".join(
        f"{path} {formatting.count(count)}"
        for path, count in sorted(found.parts.items(), key=lambda item: -item[1])[:4]
    )
    memory = (
        "not compiled" if found.memory is None else f"{formatting.si(found.memory, 'B')} a device"
    )
    mfu = "" if found.mfu is None else f"; {found.mfu:.0%} of the peak (MFU)"
    multiplied = f"{formatting.si(found.executed, 'FLOP')} with what is hidden or padding"
    work = f"{formatting.si(found.flops_per_token, 'FLOP')} a token ({multiplied}){mfu}"
    rows = [
        ("parameters", f"{found.parameters:,}  ({parts})"),
        ("arithmetic", work),
        ("", f"{formatting.si(found.flops, 'FLOP')} for {formatting.count(found.tokens)} tokens in "
             f"{found.steps} steps"),
        ("memory", memory),
        ("time", _range(found.seconds, formatting.clock)),
        ("energy", f"{_kwh(found.joules, carbon)} ({formatting.si(found.joules.value, 'J')})"),
        ("from", found.how),
    ]  # fmt: skip
    return rows if found.budget is None else [*rows, ("budget", found.budget)]


def _range(one: Spread, write) -> str:
    """The value, and the interval of 95 %."""
    low, high = one.interval
    return f"{write(one.value)}  (95 %: {write(low)} – {write(high)})"


def _kwh(joules: Spread, carbon: Carbon) -> str:
    return _range(joules, lambda value: formatting.si(1000 * carbon.kwh(value), "Wh"))


def _places(one: Spread, seconds: Spread, carbon: Carbon, elsewhere: Sequence[str]) -> Table:
    """gCO2e of the same joules here and in other regions, the cleanest first."""
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for name in ("the same run in", "g/kWh", "CO2e", "against here"):
        left = name.endswith("in")
        table.add_column(name, justify="left" if left else "right", no_wrap=not left)
    here = carbon.mean_intensity(seconds.value)
    scale = carbon.pue / JOULES_PER_KWH
    rows = [(f"here: {carbon.grid.name}", here, "")]
    for code in elsewhere:
        grid = find_region(code)
        change = "" if not here else f"{grid.gco2e_per_kwh / here - 1:+.0%}"
        rows.append((f"{code}: {grid.name}", grid.gco2e_per_kwh, change))
    for name, intensity, change in sorted(rows, key=lambda row: row[1]):
        style = "bold" if name.startswith("here") else ""
        grams = Spread(one.value * scale * intensity, one.sigma * scale * intensity)
        cells = (name, f"{intensity:.4g}", _range(grams, lambda g: formatting.si(g, "g")), change)
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table


def _when(seconds: Spread, carbon: Carbon) -> list[Text]:
    """When to begin, where the grid is known by the hour."""
    if carbon.hourly is None:
        return []
    now, *later = starts(carbon, seconds.value)
    best = min(later, key=lambda one: one.gco2e_per_kwh)
    change = best.gco2e_per_kwh / now.gco2e_per_kwh - 1 if now.gco2e_per_kwh else 0.0
    words = f"begun now: {now.gco2e_per_kwh:.4g} g/kWh over the run; "
    if change >= 0:
        return [Text(), Text(words + "no hour of the next 24 is better")]
    words += f"begun at {best.words}: {best.gco2e_per_kwh:.4g} g/kWh, {change:+.0%}"
    return [Text(), Text(words + ("" if best.known else " (a typical day's figures)"))]


def show_sweep(found: Sequence[Forecast], carbon: Carbon, elsewhere, console: Console) -> None:
    """All runs of a sweep together, on one machine one after the other."""
    seconds, joules = together(found)
    lines = [
        Text(f"{len(found)} runs, one after the other: {_range(seconds, formatting.clock)}"),
        Text(_kwh(joules, carbon)),
        _places(joules, seconds, carbon, elsewhere),
        *_when(seconds, carbon),
    ]
    title = "the whole sweep"
    width = min(console.width, 100)
    console.print(Panel(Group(*lines), title=title, title_align="left", width=width))


def together(found: Sequence[Forecast]) -> tuple[Spread, Spread]:
    """Seconds and joules of several runs."""
    seconds, joules = found[0].seconds, found[0].joules
    for one in found[1:]:
        seconds, joules = seconds + one.seconds, joules + one.joules
    return seconds, joules
