"""Summary printed at the end of a run: results, energy, samples, commands to show it."""

import dataclasses
import difflib
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fxformer.energy.carbon import Carbon
from fxformer.energy.sensor import Unreadable
from fxformer.energy.totals import EnergyTotals
from fxformer.track import formatting


@dataclasses.dataclass(frozen=True)
class Sample:
    """Input of a model, its output, and the reference text where there is one."""

    read: str
    wrote: str
    truth: str = ""


def summarise(
    console: Console,
    folder: Path,
    *,
    status: str,
    facts: Sequence[tuple[str, str]],
    energy: EnergyTotals,
    carbon: Carbon,
    check: str = "",
    unreadable: Sequence[Unreadable] = (),
    samples: Sequence[Sample] = (),
) -> None:
    """Print the summary.

    facts: lines of (what, value), as text: best loss, last loss, tokens/s, time …
    energy: of the run, all attempts
    check: result of the cross-check, as text
    """
    width = min(100, console.width)
    if samples:
        console.print(_samples(samples, width))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for what, value in facts:
        grid.add_row(Text(formatting.safe(what)), Text(formatting.safe(value)))
    for what, value in energy_rows(energy, carbon):
        grid.add_row(what, Text(value))
    if check:
        grid.add_row("cross-check", Text(formatting.safe(check)))
    for meter in unreadable:
        grid.add_row("not read", Text(formatting.safe(str(meter)), style="yellow"))
    grid.add_row("folder", Text(str(folder), style="bold"))
    usual = folder.parent == Path("runs")  # the default of all commands
    where, all_of_them = (folder.name, "") if usual else (folder, f" {folder.parent}")
    grid.add_row("show", Text(f"{command()} show {where}", style="bold cyan"))
    grid.add_row("dashboard", Text(f"{command()} dashboard{all_of_them}", style="bold cyan"))
    colour = "green" if status == "done" else "yellow"
    console.print(
        Panel(
            grid,
            title=Text(f"run {status}", style=f"bold {colour}"),
            title_align="left",
            border_style=colour,
            width=width,
        )
    )


def command() -> str:
    """The command for `fxformer` here: its name if it is on PATH, else its path."""
    if shutil.which("fxformer"):
        return "fxformer"
    script = Path(sys.executable).with_name("fxformer")
    if not script.exists():
        return f"{Path(sys.executable).name} -m fxformer"
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def energy_rows(energy: EnergyTotals, carbon: Carbon) -> list[tuple[str, str]]:
    """Joules, kWh and grams with standard deviation, provenance and assumptions, as text."""
    total = energy.total
    kwh, grams = carbon.kwh(total.joules), carbon.gco2e(total.joules, energy.hours)
    spread = f"± {formatting.percent(total.relative)} (1σ)"
    grid, intensity = carbon.grid, grams / kwh if carbon.hourly and kwh else None
    year = f", {grid.year}" if grid.year else ""
    cost = f"{formatting.si(total.joules, 'J')} = {kwh:.3g} kWh {spread}, {total.provenance}"
    pace = grid.gco2e_per_kwh if intensity is None else round(intensity, 1)
    where = f"at {pace:g} g/kWh ({grid.name}{year}), PUE {carbon.pue:g}"
    if outside := carbon.share_outside_file(energy.hours):
        where += f"; {formatting.percent(outside)} of it in hours outside the file, at mean values"
    return [("energy", cost), ("carbon", f"{formatting.si(grams, 'gCO2e')} {where}")]


def difference(before: str, after: str) -> tuple[Text, Text]:
    """A word-by-word diff: words missing from `after` are red in the first text, added words green
    in the second. Control characters are removed."""
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", formatting.safe(t)) for t in (before, after))
    first, second = Text(), Text()
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        same = kind == "equal"
        first.append("".join(old[i:j]), style="dim" if same else "red")
        second.append("".join(new[k:m]), style="" if same else "bold green")
    return first, second


def _samples(samples: Sequence[Sample], width: int) -> RenderableType:
    rows: list[RenderableType] = []
    for n, sample in enumerate(samples):
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        read, wrote = difference(sample.read, sample.wrote)
        table.add_row("read", read)
        table.add_row("wrote", wrote)
        if sample.truth:
            table.add_row("truth", Text(formatting.safe(sample.truth), style="dim"))
        rows += [Text(), table] if n else [table]
    return Panel(Group(*rows), title="samples", title_align="left", border_style="dim", width=width)
