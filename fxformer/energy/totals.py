"""Energy totals by phase and device, with standard deviation and provenance of every sum."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from fxformer.energy.sensor import Provenance

K = TypeVar("K")
EntryKey = tuple[str, str, str, Provenance, float]  # an entry without its joules
PHASES = (
    "startup",
    "compile",
    "data",
    "features",
    "train",
    "evaluate",
    "generate",
    "checkpoint",
    "idle",
)


@dataclasses.dataclass(frozen=True)
class EnergyEntry:
    """Joules of one device in one phase by one sensor; sigma is relative to them."""

    phase: str
    device: str
    sensor: str
    provenance: Provenance
    sigma: float
    joules: float


@dataclasses.dataclass(frozen=True)
class EnergySum:
    """A sum of joules with one standard deviation, `sigma`, in joules.

    shares: joules of the sum by provenance
    """

    joules: float
    sigma: float
    shares: Mapping[str, float]

    @property
    def provenance(self) -> str:
        """One provenance, or the shares of several: "measured 83 %, modelled 17 %"."""
        known = {k: v for k, v in self.shares.items() if v > 0}
        if len(known) <= 1:
            return next(iter(known or self.shares), "nothing counted")
        total = sum(known.values())
        ranked = sorted(known.items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {100 * value / total:.0f} %" for name, value in ranked)

    @property
    def relative(self) -> float:
        """sigma / joules, 0 for an empty sum."""
        return self.sigma / self.joules if self.joules else 0.0


def add_by_key(one: Mapping[K, float], other: Mapping[K, float]) -> dict[K, float]:
    """The sums of two mappings, key by key."""
    return {key: one.get(key, 0.0) + other.get(key, 0.0) for key in (*one, *other)}


def sum_entries(entries: Iterable[EnergyEntry]) -> EnergySum:
    """Sum entries. Errors of one sensor are fully correlated and add linearly; errors of different
    sensors are independent and add in quadrature."""
    total, shares, by_sensor = 0.0, {}, {}
    for e in entries:
        total += e.joules
        shares[e.provenance] = shares.get(e.provenance, 0.0) + e.joules
        by_sensor[e.sensor] = by_sensor.get(e.sensor, 0.0) + e.sigma * e.joules
    return EnergySum(total, math.sqrt(sum(s * s for s in by_sensor.values())), shares)


@dataclasses.dataclass(frozen=True)
class EnergyTotals:
    """Everything a meter has counted. The sums over phases, devices and hours are the total.

    entries: joules by phase, device and sensor
    seconds: wall time by phase
    hours: {UTC hour since 1970: joules}, for hourly carbon intensities
    """

    entries: tuple[EnergyEntry, ...] = ()
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    hours: Mapping[int, float] = dataclasses.field(default_factory=dict)

    @property
    def total(self) -> EnergySum:
        """The sum of everything."""
        return sum_entries(self.entries)

    @property
    def joules(self) -> float:
        """The sum of everything, without its standard deviation."""
        return sum(e.joules for e in self.entries)

    def by(self, field: str) -> dict[str, EnergySum]:
        """Sums by "phase", "device", "sensor" or "provenance", the largest first."""
        groups: dict[str, list[EnergyEntry]] = {}
        for entry in self.entries:
            groups.setdefault(getattr(entry, field), []).append(entry)
        sums = {name: sum_entries(entries) for name, entries in groups.items()}
        return dict(sorted(sums.items(), key=lambda item: -item[1].joules))

    def __add__(self, other: "EnergyTotals") -> "EnergyTotals":
        merged: dict[EntryKey, float] = {}
        for e in (*self.entries, *other.entries):
            key = (e.phase, e.device, e.sensor, e.provenance, e.sigma)
            merged[key] = merged.get(key, 0.0) + e.joules
        entries = tuple(EnergyEntry(*key, joules) for key, joules in merged.items())
        seconds = add_by_key(self.seconds, other.seconds)
        return EnergyTotals(entries, seconds, add_by_key(self.hours, other.hours))

    def to_json(self) -> dict[str, Any]:
        """JSON values; the inverse of `from_json`."""
        return {
            "joules": self.joules,
            "seconds_by_phase": dict(self.seconds),
            "joules_by_hour": {str(hour): joules for hour, joules in self.hours.items()},
            "entries": [list(dataclasses.astuple(e)) for e in self.entries],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "EnergyTotals":
        """The inverse of `to_json`. ValueError for any other value."""
        try:
            entries = tuple(EnergyEntry(*e) for e in value["entries"])
            hours = {int(hour): joules for hour, joules in value.get("joules_by_hour", {}).items()}
            return EnergyTotals(entries, dict(value["seconds_by_phase"]), hours)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not energy totals: {str(value)[:80]}") from error
