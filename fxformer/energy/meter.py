"""Energy meter: reads the sensors and charges their joules to the phases of a run."""

import contextlib
import difflib
import functools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from fxformer.energy.hourly import split_by_hour
from fxformer.energy.sensor import Sensor, Unreadable
from fxformer.energy.totals import (
    PHASES,
    EnergyEntry,
    EnergySum,
    EnergyTotals,
    EntryKey,
    add_by_key,
    sum_entries,
)


class Meter:
    """Counts from the moment it is made; what is used outside any phase is charged to "idle".

    A sensor is read no more often than its `every` says. Joules between two reads are charged to
    the phases, and to the hours of the clock, of that time in proportion to their seconds. So no
    joule is lost or counted twice: the sum over phases is the total.

    sensors: one that raises is dropped and named in `unreadable`
    unreadable: sensors that could not be opened, with what would make them readable
    prior: totals of earlier attempts of the same run, counted into `joules` and `totals()`
    assumptions: of the TDP model, as text
    before: seconds of the process that the sensors' first readings include; they are "startup"
    others: totals of the other processes that train the same model, by process; counted into
        `joules` and `totals()`, not into `own()`
    """

    def __init__(
        self,
        sensors: Sequence[Sensor],
        *,
        unreadable: Sequence[Unreadable] = (),
        assumptions: Sequence[str] = (),
        prior: EnergyTotals | None = None,
        before: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ):
        if not sensors and not unreadable:
            raise ValueError("a meter needs at least one sensor: without one it would count 0 J")
        self._clock, self._wall = clock, wall
        self.prior, self.assumptions = prior or EnergyTotals(), tuple(assumptions)
        self._unreadable = list(unreadable)
        self._lock = threading.RLock()
        self._phases, self._last = ["idle"], clock()
        self._sensors = [_SensorState(one, self._last, wall(), before) for one in sensors]
        self._charged: dict[EntryKey, float] = {}
        self._seconds: dict[str, float] = {"startup": before} if before else {}
        self._unattributed: dict[str, float] = {}
        self._hours: dict[int, float] = {}
        self._own_joules, self._prior_joules = 0.0, self.prior.joules
        self.others: Mapping[int, EnergyTotals] = {}
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
        """Joules so far, earlier attempts included. Reads the sensors that are due."""
        with self._lock:
            self._settle()
            others = sum(one.joules for one in list(self.others.values()))
            return self._prior_joules + self._own_joules + others

    @property
    def joules(self) -> float:
        """The same as `read()`; takes microseconds, since slow sensors are read rarely."""
        return self.read()

    @property
    def hours(self) -> dict[int, float]:
        """Joules by UTC hour as of the last `read()`, earlier attempts included."""
        with self._lock:
            others = [one.hours for one in list(self.others.values())]
            return functools.reduce(add_by_key, others, add_by_key(self.prior.hours, self._hours))

    @property
    def provenance(self) -> str:
        """Of the joules so far, as text: "modelled", "measured 83 %, modelled 17 %"."""
        return self._sum().provenance

    def own(self) -> EnergyTotals:
        """What this meter counted itself, after reading all sensors (what a ledger stores)."""
        with self._lock:
            self._settle(all_sensors=True)
            entries = tuple(EnergyEntry(*key, joules) for key, joules in self._charged.items())
            return EnergyTotals(entries, dict(self._seconds), dict(self._hours))

    def totals(self) -> EnergyTotals:
        """What was counted, earlier attempts included, after reading all sensors."""
        return sum(list(self.others.values()), self.prior + self.own())

    @property
    def unreadable(self) -> list[Unreadable]:
        """Sensors that could not be opened, failed since, or were not read for a time."""
        problems = (getattr(one.sensor, "problems", ()) for one in self._sensors)
        return [*self._unreadable, *(one for some in problems for one in some)]

    @property
    def unattributed(self) -> dict[str, float]:
        """{device: joules of an equal split among processes whose use cannot be read}."""
        found = (getattr(one.sensor, "unattributed", {}) for one in self._sensors)
        return functools.reduce(add_by_key, found, self._unattributed)

    def close(self) -> EnergyTotals:
        """Take the last totals and close the sensors; further reads return the same."""
        with self._lock:
            totals = self.totals()
            for one in self._sensors:
                with contextlib.suppress(Exception):  # a failed sensor may not even close
                    one.sensor.close()
            self._unreadable, self._unattributed = self.unreadable, self.unattributed
            self._sensors, self._closed = [], True
            return totals

    def _sum(self) -> EnergySum:
        with self._lock:
            own = [EnergyEntry(*key, joules) for key, joules in self._charged.items()]
            others = [e for one in list(self.others.values()) for e in one.entries]
            return sum_entries([*self.prior.entries, *own, *others])

    def _settle(self, all_sensors: bool = False) -> None:
        if self._closed:
            return
        now, phase = self._clock(), self._phases[-1]
        span, self._last = now - self._last, now
        self._seconds[phase] = self._seconds.get(phase, 0.0) + span
        for one in list(self._sensors):
            one.pending[phase] = one.pending.get(phase, 0.0) + span
            if all_sensors or now - one.read_at >= one.sensor.every:
                self._charge(one, now, phase)

    def _charge(self, one: "_SensorState", now: float, phase: str) -> None:
        try:
            readings = one.sensor.read()
        except Exception as error:  # noqa: BLE001 - a failing sensor never stops a run
            self._sensors.remove(one)
            self._unreadable.append(
                Unreadable(one.sensor.name, f"failed while running ({error})", "not counted since")
            )
            return
        wall, pending = self._wall(), sum(one.pending.values())
        hours = split_by_hour(min(one.read_wall, wall), wall)  # the clock may have been set back
        parts = [(p, s / pending) for p, s in one.pending.items()] if pending else [(phase, 1.0)]
        for r in readings:
            if not math.isfinite(r.joules):
                continue  # the next finite reading includes these joules
            key = (r.device, r.sensor, r.provenance)
            used = max(0.0, r.joules - one.counted.get(key, 0.0))
            one.counted[key] = r.joules
            self._own_joules += used
            for name, share in parts:
                entry = (name, r.device, r.sensor, r.provenance, r.sigma)
                self._charged[entry] = self._charged.get(entry, 0.0) + used * share
            for hour, share in hours if used else ():
                self._hours[hour] = self._hours.get(hour, 0.0) + used * share
        one.pending, one.read_at, one.read_wall = {}, now, wall


class _SensorState:
    """A sensor, when it was read, its joules charged so far, and the seconds by phase since."""

    def __init__(self, sensor: Sensor, now: float, wall: float, before: float):
        self.sensor, self.read_at, self.read_wall = sensor, now, wall - before
        self.counted: dict[tuple, float] = {}
        self.pending: dict[str, float] = {"startup": before} if before else {}
