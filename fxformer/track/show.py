"""`fxformer show RUN` and `fxformer runs`: a run, or all of them, on a terminal."""

import logging
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fxformer.config.type_check import type_problem
from fxformer.energy.carbon import CARBON_OPTIONS, Carbon
from fxformer.energy.totals import EnergyTotals
from fxformer.errors import UserError
from fxformer.track import formatting
from fxformer.track.evaluations import evaluation_texts
from fxformer.track.run_reader import GRID_FILE, StoredRun, find, runs
from fxformer.track.summary import energy_rows
from fxformer.track.text_chart import dots, sparkline

_COLOURS = {
    "done": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "dead": "red",
    "failed": "red",
    "diverged": "red",
    "pruned": "blue",
    "unreadable": "red",
}
# Columns of an evaluation that are shown in other rows.
NO_METRICS = frozenset({"step", "split", "loss", "nll", "seconds", "tokens", "joules"})
_CURVES = (("train", "green"), ("valid", "magenta"))
_CARBON = typing.get_type_hints(Carbon.__init__, include_extras=True)
_log = logging.getLogger(__name__)


def show(which: str, *, root: str | Path = "runs", console: Console | None = None) -> None:
    """Print one run: its facts, the curve of its loss, its energy by phase and device. UserError
    with the nearest names when there is none called `which`."""
    console = console or Console()
    run = find(root, which)
    console.print(
        Panel(
            _facts(run),
            title=Text(run.id, style="bold"),
            title_align="left",
            border_style=_COLOURS.get(run.status, "dim"),
            width=_width(console),
        )
    )
    for piece in (_chart(run, _width(console)), _energy(run.energy(), _width(console))):
        if piece is not None:
            console.print(piece)


def list_runs(*, root: str | Path = "runs", console: Console | None = None) -> None:
    """Print a line per run, the newest last. UserError if `root` is no folder; only the default
    one may be missing."""
    console = console or Console()
    if str(root) != "runs" and not Path(root).is_dir():
        raise UserError(
            f"runs={root}: there is no such folder; write the folder that holds the runs"
        )
    there = runs(root)
    if not there:
        console.print(Text(f"no runs in {Path(root)}/ yet; `fxformer train` makes one"))
        return
    wide = console.width >= 90
    table = Table(box=None, header_style="dim", padding=(0, 1), expand=False)
    table.add_column("run", overflow="fold")
    names = ["status", "step", "loss", "valid", *(["curve"] if wide else []), "energy", "time"]
    for name in names:
        table.add_column(
            name, no_wrap=True, justify="left" if name in ("status", "curve") else "right"
        )
    unreadable = []
    for run in there:
        table.add_row(*_row(run, wide))
        unreadable += [f"{run.id}: unreadable: {why}" for why in run.problems()]
    console.print(table)
    for words in unreadable:
        console.print(Text(formatting.safe(words), style="red"), soft_wrap=True)


def _row(run: StoredRun, wide: bool) -> list[Text]:
    train, valid = run.metrics("train"), run.metrics("valid")
    loss = train.get("loss", np.empty(0))
    status = Text(run.status, style=_COLOURS.get(run.status, ""))
    joules = run.energy().joules
    cells = [
        Text(formatting.safe(run.id)),
        status,
        Text(f"{_step(train, valid):.0f}"),
        Text(formatting.loss(_last(train, "loss"))),
        Text(formatting.loss(_lowest(valid))),
        *([Text(sparkline(loss, 16), style="green")] if wide else []),
        Text(formatting.si(joules, "J") if joules else "–"),
        Text(formatting.duration(_last(train, "seconds"))),
    ]
    return cells


def _facts(run: StoredRun) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for what, value in _fact_lines(run):
        if value:
            grid.add_row(what, Text(formatting.safe(value)))
    return grid


def _fact_lines(run: StoredRun) -> Sequence[tuple[str, str]]:
    facts, train, valid = run.facts, run.metrics("train"), run.metrics("valid")
    code, machine = facts.get("code") or {}, facts.get("machine") or {}
    reason = f" ({run.reason})" if run.reason else ""
    commit = (code.get("commit") or "")[:12] + (" with changes" if code.get("dirty") else "")
    versions = facts.get("packages") or {}
    tokens = _last(train, "tokens")
    best = _lowest(valid)
    at = ""
    if best is not None and "step" in valid:
        at = f" at step {valid['step'][np.nanargmin(valid['loss'])]:.0f}"
    return [
        ("status", f"{run.status}{reason}, attempt {len(facts.get('attempts', []))}"),
        ("started", f"{facts.get('started', '')}  ended {facts.get('ended') or '–'}"),
        ("command", facts.get("command", "")),
        (
            "step",
            f"{_step(train, valid):.0f}, {formatting.count(tokens)} tokens in "
            f"{formatting.duration(_last(train, 'seconds'))}"
            if len(train)
            else "nothing logged yet",
        ),
        (
            "loss",
            f"train {formatting.loss(_last(train, 'loss'))}"
            + (
                f", valid {formatting.loss(_last(valid, 'loss'))}, best {formatting.loss(best)}{at}"
                if best is not None
                else ""
            ),
        ),
        ("metrics", _metrics(valid)),
        *evaluation_texts(facts),
        ("code", commit),
        (
            "machine",
            ", ".join(
                str(v)
                for v in [
                    machine.get("cpu"),
                    f"{machine.get('threads')} threads",
                    *sorted(set(facts.get("devices") or [])),
                ]
                if v
            ),
        ),
        (
            "versions",
            "  ".join(f"{n} {versions[n]}" for n in ("jax", "flax", "optax") if n in versions)
            + f"  python {facts.get('python', '')}",
        ),
        ("folder", str(run.folder)),
        *_cost(run),
    ]


def _cost(run: StoredRun) -> list[tuple[str, str]]:
    energy = run.energy()
    if not energy.joules:
        return [("energy", "nothing in the ledger yet")]
    return energy_rows(energy, carbon_of(run))


def carbon_of(run: StoredRun) -> Carbon:
    """The run's own assumptions, as its config has them; see `carbon_from`."""
    try:
        known = run.config.get("energy")
    except UserError:  # `problems` names it
        known = None
    return carbon_from(known, run.folder)


def carbon_from(known: Any, folder: Path) -> Carbon:
    """The assumptions of a run in `folder` whose knobs of energy are `known`; an hourly file is the
    folder's copy. The world's average, with a warning, where the knobs make no sense."""
    try:
        return Carbon(**_knobs(known or {}, folder))
    except (OSError, ValueError) as error:
        _log.warning("%s: CO2e is counted at the world average: %s", folder, error)
        return Carbon()


def _knobs(known: Any, folder: Path) -> dict[str, Any]:
    """The arguments of `Carbon`. UserError where one has another type."""
    if not isinstance(known, Mapping):
        raise UserError(f"energy: expected a mapping, got {str(known)[:60]}")
    knobs = {name: known[name] for name in CARBON_OPTIONS if known.get(name) is not None}
    for name, value in knobs.items():
        if why := type_problem(value, _CARBON[name]):
            raise UserError(f"energy.{name}: {why}")
    if "grid_hourly" in knobs:
        kept = folder / GRID_FILE
        knobs["grid_hourly"] = str(kept if kept.exists() else knobs["grid_hourly"])
        if not Path(knobs["grid_hourly"]).exists():  # then by its region
            knobs = {k: v for k, v in knobs.items() if not k.startswith("grid_")}
    return knobs


def _chart(run: StoredRun, width: int) -> RenderableType | None:
    found = [(name, colour, run.metrics(name)) for name, colour in _CURVES]
    found = [(n, c, m) for n, c, m in found if {"step", "loss"} <= m.keys()]
    found = [(n, c, m) for n, c, m in found if np.isfinite(m["loss"]).any()]
    if not found:
        return None
    lines, xs, ys = dots([(m["step"], m["loss"]) for _, _, m in found], width - 14, 10)
    rows = []
    for n, cells in enumerate(lines):
        mark = f"{ys[1]:8.3f} " if n == 0 else f"{ys[0]:8.3f} " if n == len(lines) - 1 else " " * 9
        row = Text(mark, style="dim")
        for character, owner in cells:
            row.append(character, style=found[owner][1] if owner >= 0 else "")
        rows.append(row)
    left, right = f"{xs[0]:.0f}", f"{xs[1]:.0f}"
    rows.append(Text(" " * 9 + left + right.rjust(width - 14 - len(left)), style="dim"))
    title = Text("loss by step: ") + Text(", ").join(Text(n, style=c) for n, c, _ in found)
    return Panel(Group(*rows), title=title, title_align="left", border_style="dim", width=width)


def _energy(totals: EnergyTotals, width: int) -> RenderableType | None:
    if not totals.joules:
        return None
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name, right in (
        ("", False),
        ("joules", True),
        ("± 1σ", True),
        ("share", True),
        ("", False),
        ("seconds", True),
        ("provenance", False),
    ):
        justify = "right" if right else "left"
        table.add_column(name, justify=justify, no_wrap=name != "provenance")
    room = max(4, width - 72)
    for field in ("phase", "device"):
        for name, part in totals.by(field).items():
            share = part.joules / totals.joules
            seconds = totals.seconds.get(name) if field == "phase" else None
            table.add_row(
                Text(formatting.safe(name)),
                formatting.si(part.joules, "J"),
                formatting.si(part.sigma, "J"),
                formatting.percent(share),
                Text("█" * round(share * room), style="yellow"),
                "" if seconds is None else f"{seconds:.1f}",
                part.provenance,
            )
        if field == "phase":
            table.add_section()
            table.add_row()
    return Panel(
        table,
        title="energy by phase and by device",
        title_align="left",
        border_style="dim",
        width=width,
    )


def _width(console: Console) -> int:
    return min(100, console.width)


def _step(*splits: dict[str, np.ndarray]) -> float:
    """Last step in any log: trainer.log_every may leave out the last step of training."""
    return max(_last(columns, "step") or 0 for columns in splits)


def _last(columns: dict[str, np.ndarray], name: str) -> float | None:
    values = columns.get(name, np.empty(0))
    values = values[~np.isnan(values)]
    return float(values[-1]) if len(values) else None


def _metrics(valid: dict[str, np.ndarray]) -> str:
    """The last held-out metrics but the loss."""
    others = [(name, _last(valid, name)) for name in valid if name not in NO_METRICS]
    return ", ".join(f"{n.replace('_', ' ')} {v:.3g}" for n, v in others if v is not None)


def _lowest(columns: dict[str, np.ndarray]) -> float | None:
    values = columns.get("loss", np.empty(0))
    return float(np.nanmin(values)) if len(values) and not np.isnan(values).all() else None
