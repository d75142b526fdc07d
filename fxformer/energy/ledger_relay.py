"""Ledger lines of several processes of a run, sent to process 0, which writes all of them.

Each process counts its own joules (those that share a machine divide its counters) and has an
attempt of its own in the ledger, with its host; the sum of the ledger is that of all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.distributed.group import ProcessGroup
from fxformer.energy.ledger import Ledger
from fxformer.energy.meter import Meter
from fxformer.energy.sensor import Unreadable
from fxformer.energy.totals import EnergyTotals

LINES = "ledger"


class LineSender:
    """In place of a file: each line goes to process 0."""

    def __init__(self, group: ProcessGroup):
        self.group, self.path, self._sent = group, Path("energy.jsonl"), 0

    def write(self, line: dict[str, Any], *, sync: bool = False) -> None:
        """Send a line. OSError where process 0 cannot be reached."""
        try:
            self.group.set(f"{LINES}/{self.group.index}/{self._sent:09d}", jsonl.encode(line))
        except Exception as error:
            raise OSError(0, "process 0 cannot be reached", str(self.path)) from error
        self._sent += 1

    def close(self) -> None:
        """Nothing to close."""


class FollowerLedger(Ledger):
    """The ledger of a process other than 0."""

    def __init__(self, group: ProcessGroup, *, every: float):
        super().__init__("energy.jsonl", every=every, file=LineSender(group))
        self._extra = {"process": group.index}

    def move(self, path: str | Path) -> None:
        """Nothing: process 0 knows where its file is."""

    def discard(self, meter: Meter) -> None:
        """Close it; nothing of it is on disk here."""
        self.close(meter)


class LineReceiver:
    """What process 0 has been sent.

    latest: {process: totals of its attempt}, with the hours of all its lines
    unreadable: sensors of the other processes that could not be read
    """

    def __init__(self, group: ProcessGroup):
        self.group, self.latest = group, dict[int, EnergyTotals]()
        self._unreadable: dict[int, list[Unreadable]] = {}

    def lines(self) -> list[dict[str, Any]]:
        """The lines that have come since the last call, in their order."""
        if self.group.alone:
            return []
        found = self.group.folder(LINES)
        for key in sorted(found):
            self._add(int(key.split("/")[-2]), found[key])
            self.group.delete(key)
        return [found[key] for key in sorted(found)]

    @property
    def unreadable(self) -> Sequence[Unreadable]:
        """What was not counted of other processes, by process."""
        silent = [p for p in range(1, self.group.count) if p not in self.latest]
        found = [
            Unreadable(f"process {p}", "sent no reading", "its energy is not counted")
            for p in silent
        ]
        return found + [one for some in self._unreadable.values() for one in some]

    def _add(self, process: int, line: dict[str, Any]) -> None:
        before, now = self.latest.get(process, EnergyTotals()), EnergyTotals.from_json(line)
        hours = dict(before.hours) | dict(now.hours)  # a line has only the hours that changed
        self.latest[process] = EnergyTotals(now.entries, now.seconds, hours)
        self._unreadable[process] = [
            Unreadable(f"process {process} on {line.get('host')}", str(text), "not counted")
            for text in line.get("unreadable", [])
        ]
