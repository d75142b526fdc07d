"""Incremental reader of a run's energy.jsonl: totals by attempt, and their growth over time.

The only reader of ledgers: it adds up the hours, of which a line has only those that changed.
"""

import dataclasses
import math
import os
import threading
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.config.type_check import type_problem
from fxformer.energy.totals import EnergyEntry, EnergyTotals
from fxformer.files import open_regular


@dataclasses.dataclass(frozen=True)
class GrowthStep:
    """What a line of the ledger adds to the lines before it.

    time: when it was written, in seconds since 1970; joules: of the line's attempt
    hours: {UTC hour since 1970: joules}, the hours in which they were used
    """

    time: float
    joules: float
    hours: dict[int, float]


class LedgerReader:
    """The ledger at `path`; each call reads what was appended since the last one.

    The last valid line of an attempt counts, with the hours of all its lines (a line has only the
    hours that changed). Incomplete lines are skipped. A complete line with wrong types is also
    skipped and named in `problem`; entries are checked in the last line of each attempt only. A
    file that was truncated or replaced is read from its beginning.
    """

    def __init__(self, path: str | Path):
        self._path, self._lock = Path(path), threading.Lock()
        self._reset()

    def attempts(self) -> dict[str, dict[str, Any]]:
        """{attempt: its last valid line, with all its hours}."""
        with self._lock:
            self._read()
            return {
                name: line | {"joules_by_hour": dict(line["joules_by_hour"])}
                for name, line in self._last.items()
            }

    def totals(self) -> EnergyTotals:
        """The sum over all attempts."""
        with self._lock:
            self._read()
            return sum(
                (EnergyTotals.from_json(line) for line in self._last.values()), EnergyTotals()
            )

    def growth(self) -> list["GrowthStep"]:
        """What each valid line added; the steps sum to `totals`."""
        with self._lock:
            self._read()
            return list(self._growth)

    def remarks(self) -> dict[str, list[str]]:
        """{"assumptions": …, "unreadable": …}: of the TDP model and of sensors, each once."""
        with self._lock:
            self._read()
            lines = list(self._last.values())
        names = ("assumptions", "unreadable")
        return {n: list(dict.fromkeys(w for one in lines for w in one.get(n, []))) for n in names}

    @property
    def begun(self) -> bool:
        """Whether anything was read yet."""
        return self._offset > 0

    @property
    def problem(self) -> str | None:
        """Why the file, or its first bad line, cannot be read; None when all of it can."""
        with self._lock:
            self._read()
            return self._problem

    def _reset(self) -> None:
        self._offset, self._inode, self._lines = 0, 0, 0
        self._problem: str | None = None
        self._last: dict[str, dict[str, Any]] = {}
        self._growth: list[GrowthStep] = []

    def _read(self) -> None:
        try:
            with open_regular(self._path) as file:
                stat = os.fstat(file.fileno())
                if stat.st_ino != self._inode or stat.st_size < self._offset:
                    self._reset()
                    self._inode = stat.st_ino
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return self._reset()
        except OSError as error:
            self._reset()
            self._problem = str(error.strerror or error)
            return None
        end = data.rfind(b"\n") + 1
        if not _is_whole(data[end:]):
            data = data[:end]
        self._offset += len(data)
        self._add([line for text in data.splitlines() if (line := self._parse(text))])
        return None

    def _parse(self, text: bytes) -> tuple[int, dict[str, Any]] | None:
        """A line and its number; None for an incomplete one, and for one without totals."""
        self._lines += 1
        try:
            line = jsonl.parse(text)
            if "attempt" not in line or "entries" not in line:
                return None
            for name, hint in _HINTS.items():
                # `type_problem` takes ten times as long to say that a value is of its very type
                if (
                    name in line
                    and type(line[name]) is not hint
                    and (why := type_problem(line[name], hint))
                ):
                    raise ValueError(f"{name}: {why}")
            if "seconds_by_phase" not in line or "joules" not in line:
                raise ValueError("seconds_by_phase and joules are expected")
            if not all(math.isfinite(line.get(name, 0.0)) for name in ("joules", "time")):
                raise ValueError("joules and time are finite numbers")
            if not all(hour.isdecimal() for hour in line.get("joules_by_hour", {})):
                raise ValueError("the keys of joules_by_hour are whole numbers")
            if why := type_problem(line.get("joules_by_hour", {}), dict[str, float]):
                raise ValueError(f"joules_by_hour: {why}")
        except jsonl.TornLine:
            return None
        except ValueError as error:
            self._refuse(self._lines, error)
            return None
        return self._lines, line

    def _add(self, lines: list[tuple[int, dict[str, Any]]]) -> None:
        """Add lines. Entries are checked from the last line of each attempt back to a valid one; of
        the lines before it only the hours count."""
        valid: dict[str, int] = {}
        for number, line in reversed(lines):
            if line["attempt"] not in valid:
                try:
                    _check(line)
                    valid[line["attempt"]] = number
                except ValueError as error:
                    self._refuse(number, error)
        for number, line in lines:
            attempt = line["attempt"]
            if number > valid.get(attempt, -1):
                continue
            before = self._last.get(attempt, {})
            hours, changed = before.get("joules_by_hour", {}), line.get("joules_by_hour", {})
            step = GrowthStep(
                float(line.get("time", 0.0)),
                float(line["joules"]) - float(before.get("joules", 0.0)),
                {int(hour): joules - hours.get(hour, 0.0) for hour, joules in changed.items()},
            )
            hours.update(changed)
            line["joules_by_hour"] = hours
            self._last[attempt] = line
            self._growth.append(step)

    def _refuse(self, number: int, error: ValueError) -> None:
        self._problem = self._problem or f"line {number}: {error}"


def _is_whole(text: bytes) -> bool:
    """Whether a line without its newline is complete; one that is being written is not."""
    try:
        jsonl.parse(text)
    except ValueError:
        return False
    return True


_HINTS = {
    "attempt": str,
    "entries": list,
    "joules": float,
    "seconds_by_phase": dict,
    "time": float,
    "joules_by_hour": dict,
}


# Keys that are read from the last line of an attempt only.
_OF_LAST = {
    "seconds_by_phase": dict[str, float],
    "assumptions": list[str],
    "unreadable": list[str],
    "host": str,
    "pid": int,
    "process_start": int | str,
    "interval_seconds": float,
    "final": bool,
    "unattributed": dict[str, float],
    "start": dict,
}


def _check(line: dict[str, Any]) -> None:
    """ValueError names the first value of a wrong type."""
    for name, hint in _OF_LAST.items():
        if name in line and (why := type_problem(line[name], hint)):
            raise ValueError(f"{name}: {why}")
    totals = EnergyTotals.from_json(line)
    for entry in totals.entries:
        for field in dataclasses.fields(EnergyEntry):
            kind = float if field.name in ("sigma", "joules") else str
            if why := type_problem(getattr(entry, field.name), kind):
                raise ValueError(f"entries: {field.name}: {why}")
