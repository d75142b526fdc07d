"""One run's energy.jsonl, read on as it grows: the last line of each attempt, and the way there."""

import json
import os
import threading
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.energy.totals import Totals


class Ledgers:
    """The ledger at `path`. A file that was cut or replaced is read anew."""

    def __init__(self, path: Path):
        self._path, self._lock = path, threading.Lock()
        self._forget()

    def totals(self) -> Totals:
        """All attempts together."""
        with self._lock:
            self._read()
            return sum((Totals.from_json(line) for line in self._last.values()), Totals())

    def course(self) -> list[tuple[float, float]]:
        """[(unix time, joules of all attempts until then), …] as the lines were written."""
        with self._lock:
            self._read()
            return list(self._course)

    def said(self) -> dict[str, list[str]]:
        """{"statements": …, "unreadable": …}: what the meter said of its sources, each once."""
        with self._lock:
            self._read()
            lines = list(self._last.values())
        names = ("statements", "unreadable")
        return {n: list(dict.fromkeys(w for one in lines for w in one.get(n, []))) for n in names}

    def _forget(self) -> None:
        self._offset, self._inode = 0, 0
        self._last: dict[str, dict[str, Any]] = {}
        self._course: list[tuple[float, float]] = []

    def _read(self) -> None:
        try:
            with open(self._path, "rb") as file:
                stat = os.fstat(file.fileno())
                if stat.st_ino != self._inode or stat.st_size < self._offset:
                    self._forget()
                    self._inode = stat.st_ino
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            self._forget()
            return
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        for text in data.splitlines():
            self._take(text)

    def _take(self, text: bytes) -> None:
        try:
            line = jsonl.decode(json.loads(text))
        except (ValueError, AttributeError):
            return
        if "attempt" not in line or "entries" not in line:
            return
        self._last[line["attempt"]] = line
        joules = sum(float(one.get("joules", 0.0)) for one in self._last.values())
        self._course.append((float(line.get("time", 0.0)), joules))
