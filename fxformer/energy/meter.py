"""The meter: asks the sources for joules and charges each one to the phase it was used in."""

import contextlib
import difflib
import functools
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from fxformer.energy.hourly import overlaps
from fxformer.energy.sensor import Source, Unreadable
from fxformer.energy.totals import PHASES, Entry, Totals, add_up, summed


class Meter:
    """Counts from the moment it is made; whatever lies in no phase is "idle".

    A source that is dear to read is read no oftener than its `every` says; joules that pass between
    two reads are charged to the phases, and to the hours of the clock, of that time in proportion
    to their seconds. So no joule is ever lost or counted twice: the sum over phases is the total.

    sources: what to ask. One that raises and has no stand-in is dropped and named in `unreadable`
    unreadable: meters that could not be opened, with what would make them readable
    prior: totals of earlier attempts of the same run, counted into `joules` and `totals()`
    statements: what the models assume, in words
    before: seconds of the process that the sources' first readings hold too; they are "startup"
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        unreadable: Sequence[Unreadable] = (),
        statements: Sequence[str] = (),
        prior: Totals | None = None,
        before: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ):
        if not sources and not unreadable:
            raise ValueError("a meter needs a source: without one it would count a silent zero")
        self._clock, self._prior, self.statements = clock, prior or Totals(), tuple(statements)
        self._unreadable = list(unreadable)
        self._lock = threading.RLock()
        self._phases, self._tick = ["idle"], clock()
        self._wall = wall
        self._slots = [_Slot(source, self._tick, wall(), before) for source in sources]
        self._charged: dict[tuple, float] = {}
        self._seconds: dict[str, float] = {"startup": before} if before else {}
        self._unattributed: dict[str, float] = {}
        self._hours: dict[int, float] = {}
        self._own, self._before = 0.0, self._prior.joules
        self._closed = False

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge what is used inside to `name`, one of PHASES; the innermost phase counts."""
        if name not in PHASES:
            near = difflib.get_close_matches(name, PHASES, 1)
            raise ValueError(
                f"no phase {name!r}; did you mean {near[0]!r}?"
                if near
                else f"no phase {name!r}; there are {', '.join(PHASES)}"
            )
        with self._lock:
            self._settle()
            self._phases.append(name)
        try:
            yield
        finally:
            with self._lock:
                self._settle()
                self._phases.pop()

    def read(self) -> float:
        """Look at the sources that are due; joules so far, earlier attempts included."""
        with self._lock:
            self._settle()
            return self._before + self._own

    @property
    def joules(self) -> float:
        """The same as `read()`: microseconds, for a dear source is looked at seldom."""
        return self.read()

    @property
    def before(self) -> Totals:
        """Of the run's earlier attempts."""
        return self._prior

    @property
    def hours(self) -> dict[int, float]:
        """Joules by UTC hour as of the last `read()`, earlier attempts included."""
        with self._lock:
            return summed(self._prior.hours, self._hours)

    @property
    def provenance(self) -> str:
        """Of the joules so far, in words: "modelled", "measured 83 %, modelled 17 %"."""
        with self._lock:
            own = [Entry(*key, joules) for key, joules in self._charged.items()]
            return add_up([*self._prior.entries, *own]).provenance

    def own(self) -> Totals:
        """What this meter counted itself, all sources looked at now (what a ledger keeps)."""
        with self._lock:
            self._settle(all_sources=True)
            entries = tuple(Entry(*key, joules) for key, joules in self._charged.items())
            return Totals(entries, dict(self._seconds), dict(self._hours))

    def totals(self) -> Totals:
        """What was counted, earlier attempts included, all sources looked at now."""
        return self._prior + self.own()

    @property
    def unreadable(self) -> list[Unreadable]:
        """Meters that could not be opened, died since, or were not read for a time."""
        return [*self._unreadable, *self._notes()]

    @property
    def unattributed(self) -> dict[str, float]:
        """{device: joules of it that several processes used, nothing tells how much by each}."""
        found = (getattr(slot.source, "unattributed", {}) for slot in self._slots)
        return functools.reduce(summed, found, self._unattributed)

    def _notes(self) -> list[Unreadable]:
        return [note for slot in self._slots for note in getattr(slot.source, "notes", ())]

    def close(self) -> Totals:
        """Take the last totals and let the sources go; further reads return the same."""
        with self._lock:
            totals = self.totals()
            for slot in self._slots:
                with contextlib.suppress(Exception):  # a dead meter may not even close
                    slot.source.close()
            self._unreadable, self._unattributed = self.unreadable, self.unattributed
            self._slots, self._closed = [], True
            return totals

    def _settle(self, all_sources: bool = False) -> None:
        if self._closed:
            return
        now, phase = self._clock(), self._phases[-1]
        span, self._tick = now - self._tick, now
        self._seconds[phase] = self._seconds.get(phase, 0.0) + span
        for slot in list(self._slots):
            slot.waiting[phase] = slot.waiting.get(phase, 0.0) + span
            if all_sources or now - slot.read_at >= slot.source.every:
                self._charge(slot, now, phase)

    def _charge(self, slot: "_Slot", now: float, phase: str) -> None:
        try:
            readings = slot.source.read()
        except Exception as error:  # noqa: BLE001 - a meter's failure is never the run's
            self._slots.remove(slot)
            self._unreadable.append(
                Unreadable(slot.source.name, f"died while running ({error})", "not counted since")
            )
            return
        wall, waited = self._wall(), sum(slot.waiting.values())
        hours = overlaps(min(slot.read_wall, wall), wall)  # the clock may have been set back
        parts = [(p, s / waited) for p, s in slot.waiting.items()] if waited else [(phase, 1.0)]
        for r in readings:
            if not math.isfinite(r.joules):
                continue  # the next reading that is a number holds these joules too
            key = (r.device, r.source, r.provenance)
            gone = max(0.0, r.joules - slot.counted.get(key, 0.0))
            slot.counted[key] = r.joules
            self._own += gone
            for name, share in parts:
                entry = (name, *key, r.sigma)
                self._charged[entry] = self._charged.get(entry, 0.0) + gone * share
            for hour, share in hours if gone else ():
                self._hours[hour] = self._hours.get(hour, 0.0) + gone * share
        slot.waiting, slot.read_at, slot.read_wall = {}, now, wall


class _Slot:
    """A source with what the meter remembers of it: when it was read, what has been charged, and
    the seconds per phase that wait for the next reading."""

    def __init__(self, source: Source, now: float, wall: float, before: float):
        self.source, self.read_at, self.read_wall = source, now, wall - before
        self.counted: dict[tuple, float] = {}
        self.waiting: dict[str, float] = {"startup": before} if before else {}
