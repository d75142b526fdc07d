"""Incremental reader of a run's energy.jsonl: totals by attempt, and their growth over time."""

import os
import threading
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.config.fit import complaint
from fxformer.energy.totals import Entry, Totals

_TEXTS = ("phase", "device", "source", "provenance")


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
            return dict(self._last)

    def totals(self) -> Totals:
        """The sum over all attempts."""
        with self._lock:
            self._read()
            return sum(self._totals.values(), Totals())

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
        self._totals: dict[str, Totals] = {}
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
            wrong, totals = _wrong(line), Totals.from_json(line)
        except ValueError:
            return self._refuse(_wrong(line) or "not energy totals")
        if wrong := wrong or _wrong_entries(totals):
            return self._refuse(wrong)
        before = self._last.get(line["attempt"], {}).get("hours", {})
        line = line | {"hours": before | line.get("hours", {})}
        self._last[line["attempt"]] = line
        self._totals[line["attempt"]] = Totals.from_json(line)
        joules = sum(one.joules for one in self._totals.values())
        self._growth.append((float(line.get("time", 0.0)), joules))
        return None

    def _refuse(self, why: str) -> None:
        self._problem = self._problem or f"line {self._lines}: {why}"


_HINTS = {"attempt": str, "entries": list, "seconds": dict[str, float], "time": float,
          "hours": dict[str, float], "statements": list[str], "unreadable": list[str]}


def _wrong(line: dict[str, Any]) -> str | None:
    """What is wrong with the types of a line; None when they are right."""
    for name, hint in _HINTS.items():
        if name in line and (why := complaint(line[name], hint)):
            return f"{name} {why}"
    return None


def _wrong_entries(totals: Totals) -> str | None:
    for entry in totals.entries:
        if why := _wrong_entry(entry):
            return f"entries: {why}"
    return None


def _wrong_entry(entry: Entry) -> str | None:
    for name in _TEXTS:
        if why := complaint(getattr(entry, name), str):
            return f"{name} {why}"
    for name in ("sigma", "joules"):
        if why := complaint(getattr(entry, name), float):
            return f"{name} {why}"
    return None
