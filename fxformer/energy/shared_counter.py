"""A machine's counter, divided among the processes that meter it: sum of shares = counter.

The protocol. All processes that meter a counter keep one `Book`. Whoever reads the counter (any of
them, whenever it likes) does so with the book locked, takes the joules since the last reading by
anyone, and writes to each member its part of them, in proportion to what each has used of the
device since then: processor seconds of a host's counter, process utilisation of a GPU's. Where
nobody used it (idle power), or where nothing tells what they used, the parts are equal; of the
latter it is said that they are not attributable. A member takes what was written to it at its own
next reading. So each joule that the counter counts while it has members goes to exactly one of
them. What a killed member has not taken is divided among the others.

A reading that fails or does not move leaves its interval open for the next one. An interval that
stays open for `division.PATIENCE`, and a step that cannot be right, are gaps: in a gap each member
counts by its stand-in, the model. Afterwards the counter counts again.
"""

import contextlib
import dataclasses
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fxformer.energy.attribution import Division
from fxformer.energy.counter import Counter
from fxformer.energy.machine_state import Book, BusyError
from fxformer.energy.sensor import Reading, Source, Unreadable


class Shared:
    """This process's share of a counter, as a source of joules.

    stand_ins: {device: who counts it in a gap}
    startup: the stand-ins count from the start of the process: what they have by now counts too
    place: the folder of the book; None: this process shares with nobody
    """

    def __init__(
        self,
        counter: Counter,
        stand_ins: Mapping[str, Source],
        *,
        place: Path | None,
        startup: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.name, self.every = counter.name, counter.every
        self._counter, self._others, self._clock = counter, stand_ins, clock
        self._book = Book(None if place is None else place / counter.key.replace("/", "-"))
        self._id, self._lock, self._stop = uuid.uuid4().hex, threading.Lock(), threading.Event()
        self.devices = list(dict.fromkeys(part.device for part in counter.parts.values()))
        self.unattributed: dict[str, float] = {}
        self._joules = dict.fromkeys(self.devices, 0.0)
        self._seen = self._stand_in_readings()  # at the times of `_since`
        self._since = dict.fromkeys(self.devices, clock())
        self._modelled = {key: r.joules for key, r in self._seen.items() if startup}
        self._gaps: dict[str, tuple[str, float]] = {}
        self._join()
        if counter.sample_every is not None:
            threading.Thread(target=self._run, args=(counter.sample_every,), daemon=True).start()

    @property
    def notes(self) -> list[Unreadable]:
        """What went wrong so far, in words."""
        found = [
            Unreadable(
                f"{self.name} ({device})",
                f"was not counted for {seconds:.3g} s: {why}",
                f"{_named(self._others, device)} counts that time",
            )
            for device, (why, seconds) in self._gaps.items()
        ]
        found += [
            Unreadable(
                f"{self.name} ({device})",
                "is used by several processes, and nothing tells "
                f"how much by each: {joules:.4g} J of an equal split are not attributable",
                "give each process a device of its own",
            )
            for device, joules in self.unattributed.items()
        ]
        return found if self._alone is None else [*found, self._alone]

    def read(self) -> Sequence[Reading]:
        """Joules of this process since its start: measured, and modelled in gaps."""
        self.sample()
        with self._lock:
            measured = [
                Reading(device, self.name, self._counter.provenance, self._counter.sigma, joules)
                for device, joules in self._joules.items()
            ]
            return measured + [
                dataclasses.replace(self._seen[key], joules=joules)
                for key, joules in self._modelled.items() if joules
            ]  # fmt: skip

    def sample(self) -> None:
        """Read the counter now, divide the step, take what is ours."""
        with self._lock, contextlib.suppress(BusyError):  # then the next reading divides it
            self._visit()

    def close(self) -> None:
        """Leave the book to the others and let the counter go."""
        self._stop.set()
        with self._lock, contextlib.suppress(OSError), self._book.change() as state:
            Division(state, self._id, self._counter, self._clock()).leave()
        for source in (self._counter, *self._others.values()):
            source.close()

    def _join(self) -> None:
        self._alone: Unreadable | None = None
        try:
            self._visit()
        except (OSError, ImportError) as error:  # nothing to meet in: better alone than not at all
            self._book = Book(None)
            self._alone = Unreadable(
                self.name,
                f"cannot be shared ({error})",
                "other processes of this machine count it again",
            )
            self._visit()

    def _run(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            with contextlib.suppress(OSError):
                self.sample()

    def _visit(self) -> None:
        now = self._clock()
        with self._book.change() as state:
            division = Division(state, self._id, self._counter, now)
            mine = division.settle()
        others = self._stand_in_readings()
        for device, joules in mine["owed"].items():
            self._joules[device] = self._joules.get(device, 0.0) + joules
        for device, joules in mine["unsure"].items():
            self.unattributed[device] = self.unattributed.get(device, 0.0) + joules
        for device, (why, seconds) in mine["gaps"].items():
            self._fill(device, why, seconds, others, now)
        for device in division.closed():
            self._since[device] = now
            self._seen |= {key: reading for key, reading in others.items() if key[0] == device}

    def _fill(self, device: str, why: str, seconds: float, others: Mapping, now: float) -> None:
        """Count seconds of a gap by the stand-ins."""
        span = now - self._since[device]
        share = min(seconds / span, 1.0) if span > 0 else 1.0
        self._gaps[device] = (why, self._gaps.get(device, ("", 0.0))[1] + share * span)
        for key, reading in others.items():
            if key[0] == device:
                more = share * (reading.joules - self._seen[key].joules)
                self._modelled[key] = self._modelled.get(key, 0.0) + more

    def _stand_in_readings(self) -> dict[tuple[str, str], Reading]:
        return {(r.device, r.source): r for one in self._others.values() for r in one.read()}


def _named(others: Mapping[str, Source], device: str) -> str:
    return others[device].name if device in others else "nothing"
