"""The ledger: a run's energy.jsonl, one growing account per attempt, so that nothing is lost.

Each line holds the totals of its attempt so far; the last line of an attempt counts, and attempts
add up. Only joules by the hour are written as they change: a line has the hours since the one
before it, or long runs would write all their hours every ten seconds. A killed attempt stays
counted up to its last line, also the steps that a resume repeats.
"""

import dataclasses
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.energy.ledger_reader import LedgerReader
from fxformer.energy.meter import Meter
from fxformer.energy.totals import Totals

_log = logging.getLogger(__name__)


class Ledger:
    """Appends the totals of one attempt (one process) to `path`.

    every: seconds between two lines that `keep` writes; `write` writes at once
    """

    def __init__(
        self, path: str | Path, *, every: float = 10.0, clock: Callable[[], float] = time.monotonic
    ):
        self.attempt = uuid.uuid4().hex[:12]
        self._file, self._every, self._clock = jsonl.Writer(path), every, clock
        self._last, self._hours = clock(), {}

    def keep(self, meter: Meter, **facts: Any) -> None:
        """Write a line if the last one is old enough. Cheap enough for every step."""
        if self._clock() - self._last >= self._every:
            self.write(meter, **facts)

    def write(self, meter: Meter, **facts: Any) -> None:
        """Write a line now, on disk when this returns. facts: step=…, final=True, …

        A disk that refuses is warned of: a later line has the totals all the same."""
        self._last = self._clock()
        unreadable = [str(what) for what in meter.unreadable]
        own = meter.own()
        new = {h: joules for h, joules in own.hours.items() if self._hours.get(h) != joules}
        line = {"attempt": self.attempt, "time": time.time(), "host": socket.gethostname(),
                "pid": os.getpid(), **facts, **dataclasses.replace(own, hours=new).to_json(),
                "statements": list(meter.statements), "unreadable": unreadable}
        try:
            self._file.write(line, sync=True)
        except OSError as error:
            _log.warning("%s cannot be written (%s)", self._file.path, error.strerror)
            return
        self._hours = own.hours

    def close(self, meter: Meter, **facts: Any) -> None:
        """Write the last line and close."""
        self.write(meter, final=True, **facts)
        self._file.close()


def attempts(path: str | Path) -> dict[str, dict[str, Any]]:
    """The last valid line of every attempt in the ledger at `path`, with all its hours; {} when
    there is none."""
    return LedgerReader(path).attempts()


def totals(path: str | Path) -> Totals:
    """All attempts together: the prior of a resumed run's meter."""
    return LedgerReader(path).totals()
