"""The ledger: a run's energy.jsonl, one growing account per attempt, so that nothing is lost.

Each line holds the totals of its attempt so far; the last line of an attempt counts, and attempts
add up. Only joules by the hour are written as they change: a line has the hours since the one
before it, or long runs would write all their hours every ten seconds. A killed attempt stays
counted up to its last line, also the steps that a resume repeats; what it used after that is
estimated (`lost`).

The first line is written before anything else is done. A new run has no folder then: until it has
one its ledger lies in <runs>/.starts, where that of an attempt which was killed so early stays.
"""

import contextlib
import dataclasses
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.energy import host_usage
from fxformer.energy.carbon import JOULES_PER_KWH, WORLD
from fxformer.energy.ledger_reader import LedgerReader
from fxformer.energy.meter import Meter
from fxformer.energy.totals import Totals

STARTS = ".starts"  # in the folder of the runs
LEAST = 1.0  # seconds between two lines that the thread writes
SILENT = 60.0  # seconds without a line after which an attempt on another host is taken for dead
_log = logging.getLogger(__name__)


class Ledger:
    """Appends the totals of one attempt (one process) to `path`.

    every: seconds between two lines that `keep` writes; `write` writes at once
    start: facts for each line while the ledger lies among the starts
    """

    def __init__(
        self,
        path: str | Path,
        *,
        every: float = 10.0,
        start: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.attempt = uuid.uuid4().hex[:12]
        self._file, self._every, self._clock = jsonl.Writer(path), every, clock
        self._last, self._hours = clock(), {}
        self._start, self._facts = {} if start is None else {"start": dict(start)}, {}
        self._made: Path | None = None  # the folder of the runs, if it was not there before us
        self._lock, self._stop = threading.RLock(), threading.Event()

    @classmethod
    def begin(cls, root: str | Path, **knobs: Any) -> "Ledger":
        """That of a new run of the folder `root`, which has no folder of its own yet."""
        made = not Path(root).exists()
        ledger = cls(Path(root, STARTS, f"{uuid.uuid4().hex[:12]}.jsonl"), **knobs)
        ledger._made = Path(root) if made else None
        return ledger

    def follow(self, meter: Meter) -> None:
        """Write a line now, and by a thread whenever the last one is old enough: also while the
        run compiles, evaluates or reads its corpus."""
        self.write(meter)

        def run() -> None:
            while not self._stop.wait(max(self._every, LEAST)):
                self.keep(meter)

        threading.Thread(target=run, daemon=True, name="ledger").start()

    def keep(self, meter: Meter, **facts: Any) -> None:
        """Write a line if the last one is old enough. Cheap enough for every step."""
        if self._clock() - self._last >= self._every:
            self.write(meter, **facts)

    def write(self, meter: Meter, **facts: Any) -> None:
        """Write a line now, on disk when this returns. facts: step=…, final=True, …

        A disk that refuses is warned of: a later line has the totals all the same."""
        with self._lock:
            if self._stop.is_set():
                return
            self._last, self._facts = self._clock(), self._facts | facts
            unreadable = [str(what) for what in meter.unreadable]
            own = meter.own()
            new = {h: joules for h, joules in own.hours.items() if self._hours.get(h) != joules}
            line = {
                "attempt": self.attempt,
                "time": time.time(),
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "born": host_usage.process()[0],
                "every": self._every,
                **self._start,
                **self._facts,
                **dataclasses.replace(own, hours=new).to_json(),
                "statements": list(meter.statements),
                "unreadable": unreadable,
            }
            if unsure := meter.unattributed:
                line["not_attributable"] = unsure
            try:
                self._file.write(line, sync=True)
            except OSError as error:
                _log.warning("%s cannot be written (%s)", self._file.path, error.strerror)
                return
            self._hours = own.hours

    def move(self, path: str | Path) -> None:
        """To the run's own folder, now that there is one."""
        with self._lock:
            before, self._file.path = self._file.path, Path(path)
            os.replace(before, path)
            self._start = {}
        _tidy(before.parent)

    def refuse(self, meter: Meter) -> None:
        """Of a run that was refused before it began: a new one leaves nothing."""
        self.close(meter)
        if self._start:
            self._file.path.unlink(missing_ok=True)
            _tidy(self._file.path.parent)
            if self._made is not None:
                _tidy(self._made)

    def close(self, meter: Meter, **facts: Any) -> None:
        """Write the last line and close; a second call does nothing."""
        with self._lock:
            self.write(meter, final=True, **facts)
            self._stop.set()
            self._file.close()


def _tidy(folder: Path) -> None:
    """Remove the folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def attempts(path: str | Path) -> dict[str, dict[str, Any]]:
    """The last valid line of every attempt in the ledger at `path`, with all its hours; {} when
    there is none."""
    return LedgerReader(path).attempts()


def totals(path: str | Path) -> Totals:
    """All attempts together: the prior of a resumed run's meter."""
    return LedgerReader(path).totals()


def lives(line: Mapping[str, Any]) -> bool:
    """Whether the attempt that wrote this line still runs."""
    if line.get("host") == socket.gethostname():
        return host_usage.lives(int(line.get("pid", 0)), int(line.get("born", 0)))
    return time.time() - line.get("time", 0.0) < SILENT + 2 * line.get("every", 0.0)


def ended(line: Mapping[str, Any]) -> bool:
    """Whether an attempt wrote its last line itself, or may still."""
    return bool(line.get("final")) or lives(line)


def lost(line: Mapping[str, Any]) -> float:
    """Joules that an attempt which was killed used after its last line, estimated: its mean power
    for half of the time between two lines."""
    seconds = sum(line.get("seconds", {}).values())
    half = max(line.get("every", 10.0), LEAST) / 2
    return line.get("joules", 0.0) / seconds * half if seconds > 0 else 0.0


def starts(root: str | Path) -> dict[str, dict[str, Any]]:
    """The attempts of the folder of runs `root` that ended before their run had a folder: the last
    line of each, by attempt."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(root, STARTS).glob("*.jsonl")):
        found |= {name: line for name, line in attempts(path).items() if not lives(line)}
    return found


def price(line: Mapping[str, Any]) -> tuple[float, float]:
    """(kWh from the grid, gCO2e) of an attempt that was killed at its start."""
    start = line.get("start") or {}
    kwh = line.get("joules", 0.0) * start.get("pue", 1.0) / JOULES_PER_KWH
    return kwh, kwh * start.get("gco2e_per_kwh", WORLD)


def not_attributable(path: str | Path) -> dict[str, float]:
    """{device: joules} of all attempts that an equal split among processes has given."""
    sums: dict[str, float] = {}
    for line in attempts(path).values():
        for device, joules in (line.get("not_attributable") or {}).items():
            sums[device] = sums.get(device, 0.0) + joules
    return sums
