"""Joules added up by phase and device, with the interval and provenance of every sum."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from fxformer.energy.sensor import Provenance

K = TypeVar("K")
PHASES = (
    "startup",
    "compile",
    "data",
    "train",
    "evaluate",
    "generate",
    "checkpoint",
    "idle",
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """What one source says one device used in one phase. Units: joules; sigma is relative."""

    phase: str
    device: str
    source: str
    provenance: Provenance
    sigma: float
    joules: float


@dataclasses.dataclass(frozen=True)
class Joules:
    """A sum with its interval: joules +- sigma (one standard deviation, joules).

    shares: how much of it is measured, integrated, modelled; {provenance: joules}
    """

    joules: float
    sigma: float
    shares: Mapping[str, float]

    @property
    def provenance(self) -> str:
        """One word if all of it is of one kind, else the shares: "measured 83 %, modelled 17 %"."""
        known = {k: v for k, v in self.shares.items() if v > 0}
        if len(known) <= 1:
            return next(iter(known or self.shares), "nothing read")
        total = sum(known.values())
        ranked = sorted(known.items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {100 * value / total:.0f} %" for name, value in ranked)

    @property
    def relative(self) -> float:
        """sigma / joules, 0 for an empty sum."""
        return self.sigma / self.joules if self.joules else 0.0


def summed(one: Mapping[K, float], other: Mapping[K, float]) -> dict[K, float]:
    """Key by key."""
    return {key: one.get(key, 0.0) + other.get(key, 0.0) for key in (*one, *other)}


def add_up(entries: Iterable[Entry]) -> Joules:
    """Sum entries. Errors of one source are one error and add up straight; those of different
    sources are independent and add up in squares."""
    total, shares, by_source = 0.0, {}, {}
    for e in entries:
        total += e.joules
        shares[e.provenance] = shares.get(e.provenance, 0.0) + e.joules
        by_source[e.source] = by_source.get(e.source, 0.0) + e.sigma * e.joules
    return Joules(total, math.sqrt(sum(s * s for s in by_source.values())), shares)


@dataclasses.dataclass(frozen=True)
class Totals:
    """Everything a meter has counted. The sums over phases, devices and hours are the total.

    seconds: wall time by phase
    hours: joules by the clock: {UTC hour since 1970: joules}, for grids known by the hour. Ledgers
        of before they were kept have none
    """

    entries: tuple[Entry, ...] = ()
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    hours: Mapping[int, float] = dataclasses.field(default_factory=dict)

    @property
    def total(self) -> Joules:
        """The sum of everything."""
        return add_up(self.entries)

    @property
    def joules(self) -> float:
        """The sum of everything, without its interval."""
        return sum(e.joules for e in self.entries)

    def by(self, field: str) -> dict[str, Joules]:
        """Sums by "phase", "device", "source" or "provenance", the largest first."""
        groups: dict[str, list[Entry]] = {}
        for entry in self.entries:
            groups.setdefault(getattr(entry, field), []).append(entry)
        sums = {name: add_up(entries) for name, entries in groups.items()}
        return dict(sorted(sums.items(), key=lambda item: -item[1].joules))

    def __add__(self, other: "Totals") -> "Totals":
        merged: dict[tuple, float] = {}
        for e in (*self.entries, *other.entries):
            key = (e.phase, e.device, e.source, e.provenance, e.sigma)
            merged[key] = merged.get(key, 0.0) + e.joules
        entries = tuple(Entry(*key, joules) for key, joules in merged.items())
        seconds = summed(self.seconds, other.seconds)
        return Totals(entries, seconds, summed(self.hours, other.hours))

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` undoes it."""
        return {
            "joules": self.joules,
            "seconds": dict(self.seconds),
            "hours": {str(hour): joules for hour, joules in self.hours.items()},
            "entries": [list(dataclasses.astuple(e)) for e in self.entries],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Totals":
        """What `to_json` gave. ValueError when it is something else."""
        try:
            entries = tuple(Entry(*e) for e in value["entries"])
            hours = {int(hour): joules for hour, joules in value.get("hours", {}).items()}
            return Totals(entries, dict(value["seconds"]), hours)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not energy totals: {str(value)[:80]}") from error
