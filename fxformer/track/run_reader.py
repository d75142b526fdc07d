"""Reading runs back: which there are, how they stand, what they logged. Never writes.

Works while a run is going on and after a crash: torn lines are skipped, and a run whose owner is
gone without a word is "dead".
"""

import difflib
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fxformer import jsonl
from fxformer.energy.ledger_reader import LedgerReader
from fxformer.energy.totals import EnergyTotals
from fxformer.errors import UserError
from fxformer.track import schema
from fxformer.track.run_lock import is_held

GRID_FILE = "grid_hourly.csv"  # the copy of energy.grid_hourly that a run's folder keeps


class StoredRun:
    """One run folder, read only. Looks each thing up once; make a new one to look anew.

    A file that cannot be read, or holds other types than a run writes, is as good as absent for all
    properties but `config`; `problems` names it.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._problems: dict[str, str] = {}  # {file: why}, of those that were read

    @property
    def id(self) -> str:
        """The folder's name: time and name."""
        return self.folder.name

    @cached_property
    def facts(self) -> dict[str, Any]:
        """run.json; {} when it cannot be read."""
        try:
            value = jsonl.load(self.folder / "run.json")
        except (OSError, ValueError) as error:
            return self._unreadable("run.json", error)
        if why := schema.problem(value):
            return self._unreadable("run.json", ValueError(why))
        return schema.decoded(value)

    @property
    def status(self) -> str:
        """running, done, pruned (by a search), interrupted, failed, diverged; "dead": it says
        running but nobody does; "unreadable": run.json does not say."""
        status = self.facts.get("status", "unreadable")
        if status == "running" and not is_held(self.folder, self.facts.get("owner") or {}):
            return "dead"
        return status

    @property
    def reason(self) -> str:
        """Why the run ended as it did, or which of its files cannot be read; "" where neither."""
        return self.reason_with(self.problem)

    def reason_with(self, problem: str | None) -> str:
        """As `reason`, where the problem is known."""
        given = self.facts.get("reason")
        return "; ".join(one for one in (given, problem and f"unreadable: {problem}") if one)

    @property
    def problem(self) -> str | None:
        """The first of `problems` of run.json and the ledger, which every list of runs needs."""
        _ = self.facts, self._ledger.problem
        return next(iter(self.problems()), None)

    def problems(self, *, ledger: bool = True) -> list[str]:
        """["energy.jsonl: line 3: …", …]: of the files that were read until now, and the ledger."""
        found = dict(self._problems)
        if ledger and (why := self._ledger.problem):
            found["energy.jsonl"] = why
        return [f"{file}: {why}" for file, why in found.items()]

    def checked(self) -> "StoredRun":
        """This run. UserError where run.json or config.yaml cannot be read."""
        _ = self.facts, self.config
        if why := self._problems.get("run.json"):
            raise UserError(f"{self.folder}/run.json: {why}")
        return self

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml as plain values; interpolations of the environment stay as they are.
        UserError where it cannot be read."""
        from fxformer.config.stored import plain_config

        try:
            return plain_config(self.folder)
        except ValueError as error:
            self._unreadable("config.yaml", error)
            raise

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """All whole lines of metrics.jsonl."""
        return self._log("metrics.jsonl")

    def metrics(self, split: str = "train") -> dict[str, np.ndarray]:
        """Columns of one split, "step" too: {name: [N] float64}, NaN where a line lacks it."""
        return columns(line for line in self.lines if line.get("split") == split)

    def events(self) -> list[dict[str, Any]]:
        """All whole lines of events.jsonl."""
        return self._log("events.jsonl")

    def energy(self) -> EnergyTotals:
        """All attempts' joules."""
        return self._ledger.totals()

    @cached_property
    def _ledger(self) -> LedgerReader:
        return LedgerReader(self.folder / "energy.jsonl")

    def _log(self, name: str) -> list[dict[str, Any]]:
        try:
            return list(jsonl.read(self.folder / name))
        except OSError as error:
            self._unreadable(name, error)
            return []

    def _unreadable(self, file: str, error: Exception) -> dict[str, Any]:
        """Note why `file` cannot be read, in one line; {}."""
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self._problems[file] = " ".join(why.split())[:200]
        return {}


def columns(lines: Iterable[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Lines of numbers to columns; what is not a number is left out."""
    rows = [{k: v for k, v in line.items() if jsonl.is_number(v)} for line in lines]
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: np.array([row.get(n, np.nan) for row in rows], dtype=np.float64) for n in names}


def runs(root: str | Path) -> list[StoredRun]:
    """The runs under `root`, the oldest first; a folder of folders (a sweep) is looked into. A
    folder that symbolic links reach too is one run, under its own path if that is below `root`."""
    root = Path(root)
    found = [
        path.parent
        for depth in ("*", "*/*")
        for path in root.glob(f"{depth}/run.json")
        if not path.relative_to(root).parts[0].startswith(".")
    ]  # .trash, .searches
    own = root.resolve()
    by_place: dict[Path, Path] = {}
    for folder in sorted(found, key=lambda f: (f.name, f)):
        place = folder.resolve()
        if place not in by_place or place == own / folder.relative_to(root):
            by_place[place] = folder
    return [StoredRun(f) for f in sorted(by_place.values(), key=lambda f: (f.name, f))]


def find(root: str | Path, which: str) -> StoredRun:
    """The run called `which`: a path, a folder's name, its beginning, the name it was given (the
    newest one of that name), or "last". UserError with the nearest names when there is none."""
    if (Path(which) / "run.json").exists():
        return StoredRun(which)
    there = runs(root)
    if not there:
        raise UserError(f"no runs in {Path(root)}/ yet; `fxformer train` makes one")
    if which == "last":
        return max(there, key=lambda run: (run.facts.get("started") or "", run.id))
    for same in (lambda r: r.id == which, lambda r: name_of(r.id) == which):
        if matches := [run for run in there if same(run)]:
            return matches[-1]
    starts = [run for run in there if run.id.startswith(which) or name_of(run.id).startswith(which)]
    if len(starts) == 1:
        return starts[0]
    if starts:
        listed = ", ".join(run.id for run in starts[-5:])
        raise UserError(f"{which!r} could be {len(starts)} runs: {listed}")
    known = {run.id: run.id for run in there} | {name_of(run.id): run.id for run in there}
    near = [known[n] for n in difflib.get_close_matches(which, known, 3, 0.4)]
    listed = ", ".join(dict.fromkeys(near)) or there[-1].id
    folder = f"; a folder of runs is runs={which}" if Path(which).is_dir() else ""
    raise UserError(f"no run {which!r} in {Path(root)}/; nearest: {listed}{folder}")


def name_of(folder: str) -> str:
    """The name a run was given: its folder's without the time."""
    return re.sub(r"^\d{8}-\d{6}-", "", folder)
