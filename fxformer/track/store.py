"""Reading runs back: which there are, how they stand, what they logged. Never writes.

Works while a run is going on and after a crash: torn lines are skipped, and a run whose owner is
gone without a word is "dead".
"""

import difflib
import json
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fxformer import jsonl
from fxformer.energy import ledger
from fxformer.energy.totals import Totals
from fxformer.track.owner import holds

GRID_FILE = "grid_hourly.csv"  # the copy of energy.grid_hourly that a run's folder keeps


class StoredRun:
    """One run folder, read only. Looks each thing up once; make a new one to look anew."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    @property
    def id(self) -> str:
        """The folder's name: time and name."""
        return self.folder.name

    @cached_property
    def facts(self) -> dict[str, Any]:
        """run.json; {} when it cannot be read."""
        try:
            value = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def status(self) -> str:
        """running, done, pruned (by a search), interrupted, failed, diverged; "dead": it says
        running but nobody does."""
        status = str(self.facts.get("status", "unreadable"))
        if status == "running" and not holds(self.folder, self.facts.get("owner") or {}):
            return "dead"
        return status

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml as plain values; interpolations of the environment stay as they are."""
        from fxformer.config.stored import plain_config

        return plain_config(self.folder)

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """All whole lines of metrics.jsonl."""
        return list(jsonl.read(self.folder / "metrics.jsonl"))

    def metrics(self, split: str = "train") -> dict[str, np.ndarray]:
        """Columns of one split, "step" too: {name: [N] float64}, NaN where a line lacks it."""
        return columns(line for line in self.lines if line.get("split") == split)

    def events(self) -> list[dict[str, Any]]:
        """All whole lines of events.jsonl."""
        return list(jsonl.read(self.folder / "events.jsonl"))

    def energy(self) -> Totals:
        """All attempts' joules."""
        return ledger.totals(self.folder / "energy.jsonl")


def columns(lines: Iterable[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Lines of numbers to columns; what is not a number is left out."""
    rows = [{k: v for k, v in line.items() if isinstance(v, (int, float))} for line in lines]
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: np.array([row.get(n, np.nan) for row in rows], dtype=np.float64) for n in names}


def runs(root: str | Path) -> list[StoredRun]:
    """The runs under `root`, the oldest first; a folder of folders (a sweep) is looked into."""
    root = Path(root)
    found = [path.parent for depth in ("*", "*/*") for path in root.glob(f"{depth}/run.json")]
    return [StoredRun(folder) for folder in sorted(found, key=lambda f: (f.name, f))]


def find(root: str | Path, which: str) -> StoredRun:
    """The run called `which`: a path, a folder's name, its beginning, the name it was given (the
    newest one of that name), or "last". ValueError with the nearest names when there is none."""
    if (Path(which) / "run.json").exists():
        return StoredRun(which)
    there = runs(root)
    if not there:
        raise ValueError(f"no runs in {Path(root)}/ yet; `fxformer train` makes one")
    if which == "last":
        return max(there, key=lambda run: (run.facts.get("started", ""), run.id))
    for same in (lambda r: r.id == which, lambda r: name_of(r.id) == which):
        if matches := [run for run in there if same(run)]:
            return matches[-1]
    starts = [run for run in there if run.id.startswith(which) or name_of(run.id).startswith(which)]
    if len(starts) == 1:
        return starts[0]
    if starts:
        listed = ", ".join(run.id for run in starts[-5:])
        raise ValueError(f"{which!r} could be {len(starts)} runs: {listed}")
    known = {run.id: run.id for run in there} | {name_of(run.id): run.id for run in there}
    near = [known[n] for n in difflib.get_close_matches(which, known, 3, 0.4)]
    listed = ", ".join(dict.fromkeys(near)) or there[-1].id
    raise ValueError(f"no run {which!r} in {Path(root)}/; nearest: {listed}")


def name_of(folder: str) -> str:
    """The name a run was given: its folder's without the time."""
    return re.sub(r"^\d{8}-\d{6}-", "", folder)
