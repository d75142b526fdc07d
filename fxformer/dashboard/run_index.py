"""Index of a folder of runs for the dashboard: runs, metrics and energy, read incrementally."""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from fxformer.dashboard.metrics_index import Columns, logged_names
from fxformer.energy.ledger_reader import LedgerReader
from fxformer.energy.totals import EnergyTotals
from fxformer.errors import UserError
from fxformer.track.run_reader import StoredRun, runs

CACHE = ".dashboard"  # in the folder of the runs; may be deleted at any time
_OPEN = 300  # most recently used runs whose columns are kept in memory
_SHORT = 32_768  # bytes up to which a ledger is checked for the list of runs
_WATCHED = ("run.json", "metrics.jsonl", "energy.jsonl", "notes.json", "samples.md")


class RunIndex:
    """Source of every answer of the API. Thread-safe; each call of `runs` rescans the folder.

    root: the folder that holds the runs
    only: paths of run folders; None: all
    keep: whether to cache what was read beside the runs, for the next server
    points: maximum number of points of a curve, where a request gives none
    model_folders: {name: Hugging Face folder} that the playground may open besides the runs
    """

    def __init__(
        self,
        root: str | Path,
        only: Iterable[Path] | None = None,
        *,
        keep: bool = True,
        points: int = 800,
        model_folders: Mapping[str, Path] | None = None,
    ):
        self.root, self.points, self.keep = Path(root), points, keep
        self.whole, self.model_folders = only is None, dict(model_folders or {})
        self._only = None if only is None else {path.resolve() for path in only}
        self.redact_keys = False  # set for a report
        self.progress: tuple[int, int] = (0, 0)  # (runs whose energy was summed, number of runs)
        self.last_request = time.monotonic()  # time.monotonic() of the last request
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple, StoredRun]] = {}
        self._columns: OrderedDict[str, Columns] = OrderedDict()
        self._names: dict[str, tuple[int, dict[str, list[str]]]] = {}
        self._ledgers: dict[str, LedgerReader] = {}

    def runs(self) -> dict[str, StoredRun]:
        """{key: run}, the oldest first; a key is the folder's path below the root."""
        found = {}
        for run in runs(self.root):
            if self._only is None or run.folder.resolve() in self._only:
                found[run.folder.relative_to(self.root).as_posix()] = run
        with self._lock:
            self._known = {key: self._same(key, run) for key, run in found.items()}
            return {key: run for key, (_, run) in self._known.items()}

    def run(self, key: str) -> StoredRun:
        """The run with a key of `runs`; no other path is opened. UserError for an unknown key."""
        known = self._known.get(key)
        found = known[1] if known else self.runs().get(key)
        if found is None:
            raise UserError(f"there is no run {key!r} in {self.root}/")
        return found

    def run_keys(self) -> Collection[str]:
        """The keys of all runs, exempt from redaction; none in a report."""
        return () if self.redact_keys else self._known.keys()

    def columns(self, key: str) -> Columns:
        """The metrics of a run."""
        folder = self.run(key).folder
        with self._lock:
            if key not in self._columns:
                cache = self.cache(key.replace("/", "~") + ".npz") if self.keep else None
                self._columns[key] = Columns(folder / "metrics.jsonl", cache)
            self._columns.move_to_end(key)
            while len(self._columns) > _OPEN:
                self._columns.popitem(last=False)
            return self._columns[key]

    def names(self, key: str) -> dict[str, list[str]]:
        """{split: names} of the metrics that a run has logged."""
        log = self.run(key).folder / "metrics.jsonl"
        try:
            size = log.stat().st_size
        except OSError:
            return {}
        before = self._names.get(key)
        if before is None or before[0] != size:
            before = self._names[key] = (size, logged_names(log))
        return before[1]

    def ledger(self, key: str) -> LedgerReader:
        """The energy of a run."""
        folder = self.run(key).folder
        with self._lock:
            return self._ledgers.setdefault(key, LedgerReader(folder / "energy.jsonl"))

    def problem(self, key: str) -> str | None:
        """The first unreadable file of a run: "run.json: why". A long ledger is checked only once
        its energy was requested."""
        run, ledger = self.run(key), self.ledger(key)
        _ = run.facts
        found = run.problems(ledger=False)
        with contextlib.suppress(OSError):
            short = (run.folder / "energy.jsonl").stat().st_size <= _SHORT
            if (short or ledger.begun) and (why := ledger.problem):
                found.append(f"energy.jsonl: {why}")
        return next(iter(found), None)

    def totals(self, key: str) -> EnergyTotals:
        """The energy of all attempts of a run."""
        return self.ledger(key).totals()

    def cache(self, name: str) -> Path:
        """Path of a cache file."""
        return self.root / CACHE / name

    def revisions(self) -> dict[str, str]:
        """{key: text that changes whenever a file of the run does}."""
        return {key: _mark(run.folder) for key, run in self.runs().items()}

    def _same(self, key: str, run: StoredRun) -> tuple[tuple, StoredRun]:
        """The run read before, if its run.json has not changed."""
        try:
            stat = (run.folder / "run.json").stat()
            mark = (stat.st_mtime_ns, stat.st_size)
        except OSError:  # deleted in the meantime
            mark = (0, 0)
        before = self._known.get(key)
        return before if before is not None and before[0] == mark else (mark, run)


def _mark(folder: Path) -> str:
    revisions = []
    for name in _WATCHED:
        try:
            stat = (folder / name).stat()
            revisions.append(f"{stat.st_mtime_ns:x}.{stat.st_size:x}")
        except OSError:
            revisions.append("")
    return "-".join(revisions)
