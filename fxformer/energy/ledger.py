"""Energy ledger: a run's energy.jsonl, cumulative totals of each attempt. See docs/energy.md.

Each line has the totals of its attempt so far; the last line of an attempt counts, and attempts add
up. Joules by hour are an exception: a line has only the hours that changed since the line before
it, or long runs would write all their hours every ten seconds. A killed attempt is counted up to
its last line, including steps that a resume repeats; what it used after that is estimated
(`estimate_lost`).

The first line is written before anything else is done, when a new run has no folder yet: until
then its ledger is in <runs>/.starts, where the ledger of an attempt that was killed so early stays.
"""

import contextlib
import dataclasses
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fxformer import jsonl
from fxformer.energy import host_usage
from fxformer.energy.carbon import JOULES_PER_KWH, WORLD_AVERAGE
from fxformer.energy.ledger_reader import LedgerReader
from fxformer.energy.meter import Meter
from fxformer.energy.totals import EnergyTotals

STARTS = ".starts"  # in the folder of runs
MIN_SECONDS = 1.0  # between two lines that the thread writes
SILENT_SECONDS = 60.0  # without a line after which an attempt on another host counts as dead
_log = logging.getLogger(__name__)


class LineFile(Protocol):
    """What a ledger's lines are written to."""

    path: Path

    def write(self, line: dict[str, Any], *, sync: bool = False) -> None:
        """Append a line; sync: on disk when this returns. Raises OSError."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Ledger:
    """Appends the totals of one attempt (one process) to `path`.

    every: minimum seconds between two lines of `write_if_due`; `write` writes at once
    file: writes the lines in place of the file at `path`
    start: stored in each line while the run has no folder: {"pue", "gco2e_per_kwh", …}
    """

    def __init__(
        self,
        path: str | Path,
        *,
        every: float = 10.0,
        start: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        file: LineFile | None = None,
    ):
        self.attempt = uuid.uuid4().hex[:12]
        self._file: LineFile = jsonl.Writer(path) if file is None else file
        self._every, self._clock = every, clock
        self.received: Callable[[], Sequence[dict[str, Any]]] = tuple  # lines of other processes
        self._last, self._hours = clock(), {}
        self._start: dict[str, Any] = {} if start is None else {"start": dict(start)}
        self._extra: dict[str, Any] = {}
        self._new_root: Path | None = None  # the folder of runs, where this ledger created it
        self._lock, self._stop = threading.RLock(), threading.Event()

    @classmethod
    def for_new_run(cls, root: str | Path, **options: Any) -> "Ledger":
        """The ledger of a run below `root` that has no folder of its own yet."""
        new = not Path(root).exists()
        ledger = cls(Path(root, STARTS, f"{uuid.uuid4().hex[:12]}.jsonl"), **options)
        ledger._new_root = Path(root) if new else None
        return ledger

    def start_thread(self, meter: Meter) -> None:
        """Write a line now, and from a thread whenever one is due: also while the run compiles,
        evaluates or reads its corpus."""
        self.write(meter)

        def run() -> None:
            while not self._stop.wait(max(self._every, MIN_SECONDS)):
                self.write_if_due(meter)

        threading.Thread(target=run, daemon=True, name="ledger").start()

    def write_if_due(self, meter: Meter, **extra: Any) -> None:
        """Write a line if the last one is old enough. Cheap enough for every step."""
        if self._clock() - self._last >= self._every:
            self.write(meter, **extra)

    def write(self, meter: Meter, **extra: Any) -> None:
        """Write a line now, on disk when this returns. extra: step=…, final=True, …

        A failed write is logged as a warning: a later line includes the same totals."""
        with self._lock:
            if self._stop.is_set():
                return
            self._last, self._extra = self._clock(), self._extra | extra
            unreadable = [str(what) for what in meter.unreadable]
            own = meter.own()
            new = {h: joules for h, joules in own.hours.items() if self._hours.get(h) != joules}
            line = {
                "attempt": self.attempt,
                "time": time.time(),
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "process_start": host_usage.process()[0],
                "interval_seconds": self._every,
                **self._start,
                **self._extra,
                **dataclasses.replace(own, hours=new).to_json(),
                "assumptions": list(meter.assumptions),
                "unreadable": unreadable,
            }
            if unattributed := meter.unattributed:
                line["unattributed"] = unattributed
            try:
                for other in self.received():
                    self._file.write(other)
                self._file.write(line, sync=True)
            except OSError as error:
                _log.warning("%s cannot be written (%s)", self._file.path, error.strerror)
                return
            self._hours = own.hours

    def move(self, path: str | Path) -> None:
        """Move the file to the run's own folder, once there is one."""
        with self._lock:
            before, self._file.path = self._file.path, Path(path)
            os.replace(before, path)
            self._start = {}
        _remove_if_empty(before.parent)

    def discard(self, meter: Meter) -> None:
        """Close the ledger of a run that was refused; that of a new run is deleted."""
        self.close(meter)
        if self._start:
            self._file.path.unlink(missing_ok=True)
            _remove_if_empty(self._file.path.parent)
            if self._new_root is not None:
                _remove_if_empty(self._new_root)

    def close(self, meter: Meter, **extra: Any) -> None:
        """Write the last line and close; a second call does nothing."""
        with self._lock:
            self.write(meter, final=True, **extra)
            self._stop.set()
            self._file.close()


def _remove_if_empty(folder: Path) -> None:
    """Remove the folder if it is empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def attempts(path: str | Path) -> dict[str, dict[str, Any]]:
    """{attempt: its last valid line, with all its hours} of the ledger at `path`."""
    return LedgerReader(path).attempts()


def totals(path: str | Path) -> EnergyTotals:
    """The sum over all attempts: the `prior` of a resumed run's meter."""
    return LedgerReader(path).totals()


def is_running(line: Mapping[str, Any]) -> bool:
    """Whether the attempt that wrote this line is still running."""
    if line.get("host") == socket.gethostname():
        return host_usage.is_alive(int(line.get("pid", 0)), int(line.get("process_start", 0)))
    silent = SILENT_SECONDS + 2 * line.get("interval_seconds", 0.0)
    return time.time() - line.get("time", 0.0) < silent


def was_killed(line: Mapping[str, Any]) -> bool:
    """Whether an attempt ended without writing its final line."""
    return not line.get("final") and not is_running(line)


def estimate_lost(line: Mapping[str, Any]) -> float:
    """Estimated joules that a killed attempt used after its last line: its mean power for half of
    the time between two lines."""
    seconds = sum(line.get("seconds_by_phase", {}).values())
    half = max(line.get("interval_seconds", 10.0), MIN_SECONDS) / 2
    return line.get("joules", 0.0) / seconds * half if seconds > 0 else 0.0


def early_attempts(root: str | Path) -> dict[str, dict[str, Any]]:
    """{attempt: last line} of the attempts below `root` that ended before the run had a folder."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(root, STARTS).glob("*.jsonl")):
        found |= {name: line for name, line in attempts(path).items() if not is_running(line)}
    return found


def early_cost(line: Mapping[str, Any]) -> tuple[float, float]:
    """(kWh from the grid, g CO2e) of an attempt that ended before its run had a folder."""
    start = line.get("start") or {}
    kwh = line.get("joules", 0.0) * start.get("pue", 1.0) / JOULES_PER_KWH
    return kwh, kwh * start.get("gco2e_per_kwh", WORLD_AVERAGE)


def unattributed(path: str | Path) -> dict[str, float]:
    """{device: joules} of all attempts from an equal split among processes."""
    sums: dict[str, float] = {}
    for line in attempts(path).values():
        for device, joules in (line.get("unattributed") or {}).items():
            sums[device] = sums.get(device, 0.0) + joules
    return sums
