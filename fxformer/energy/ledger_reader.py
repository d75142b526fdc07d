"""Incremental reader of a run's energy.jsonl: totals by attempt, and their growth over time."""

import dataclasses
import math
import os
import threading
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.config.fit import complaint
from fxformer.energy.totals import Entry, Totals


class LedgerReader:
    """The ledger at `path`; each call reads what was appended since the last one.

    The last valid line of an attempt counts, with the hours of all its lines (a line holds only the
    hours that changed). Torn lines are skipped. A whole line of the wrong types is skipped too and
    named in `problem`. A file that was cut or replaced is read anew.
    """

    def __init__(self, path: str | Path):
        self._path, self._lock = Path(path), threading.Lock()
        self._reset()

    def attempts(self) -> dict[str, dict[str, Any]]:
        """{attempt: its last valid line, with all its hours}."""
        with self._lock:
            self._read()
            return {name: line | {"hours": dict(line["hours"])}
                    for name, line in self._last.items()}

    def totals(self) -> Totals:
        """The sum over all attempts."""
        with self._lock:
            self._read()
            return sum((Totals.from_json(line) for line in self._last.values()), Totals())

    def growth(self) -> list[tuple[float, float]]:
        """[(unix time, joules of all attempts until then), …], one for each valid line."""
        with self._lock:
            self._read()
            return list(self._growth)

    def remarks(self) -> dict[str, list[str]]:
        """{"statements": …, "unreadable": …}: the meter's remarks on its sensors, each once."""
        with self._lock:
            self._read()
            lines = list(self._last.values())
        names = ("statements", "unreadable")
        return {n: list(dict.fromkeys(w for one in lines for w in one.get(n, []))) for n in names}

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
        self._joules: dict[str, float] = {}
        self._growth: list[tuple[float, float]] = []

    def _read(self) -> None:
        try:
            with open(self._path, "rb") as file:
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
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        for text in data.splitlines():
            self._lines += 1
            self._add(text)
        return None

    def _add(self, text: bytes) -> None:
        try:
            line = jsonl.parse(text)
        except jsonl.TornLine:
            return
        except ValueError as error:
            return self._refuse(str(error))
        if "attempt" not in line or "entries" not in line:
            return None
        try:
            joules = _joules(line)
        except ValueError as error:
            return self._refuse(str(error))
        attempt = line["attempt"]
        hours = self._last.get(attempt, {}).get("hours", {})
        hours.update(line.get("hours", {}))
        self._last[attempt] = line | {"hours": hours}
        self._joules[attempt] = joules
        self._growth.append((float(line.get("time", 0.0)), sum(self._joules.values())))
        return None

    def _refuse(self, why: str) -> None:
        self._problem = self._problem or f"line {self._lines}: {why}"


_HINTS = {"attempt": str, "entries": list, "time": float, "seconds": dict[str, float],
          "hours": dict[str, float], "statements": list[str], "unreadable": list[str]}
_ENTRY = [(field.name, float if field.name in ("sigma", "joules") else str)
          for field in dataclasses.fields(Entry)]
_AT = [name for name, _ in _ENTRY].index("joules")


def _joules(line: dict[str, Any]) -> float:
    """The joules of a line, whose types are checked. ValueError names what is wrong."""
    for name, hint in _HINTS.items():
        if name in line and (why := complaint(line[name], hint)):
            raise ValueError(f"{name} {why}")
    total = 0.0
    for entry in line["entries"]:
        if not isinstance(entry, list) or len(entry) != len(_ENTRY):
            raise ValueError(f"entries: {len(_ENTRY)} values are expected, got {str(entry)[:60]}")
        for (name, kind), value in zip(_ENTRY, entry, strict=True):
            # nearly all are of this very type, and `complaint` takes ten times as long to say so
            usual = type(value) is kind and (kind is str or math.isfinite(value))
            if not usual and (why := complaint(value, kind)):
                raise ValueError(f"entries: {name} {why}")
        total += entry[_AT]
    if "seconds" not in line or any(not hour.isdigit() for hour in line.get("hours", {})):
        raise ValueError("not energy totals: seconds or hours are missing")
    return total
