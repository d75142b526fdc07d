"""Numbers of a study's cells (arm, level, seed), each measured once and kept beside the search."""

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.claims.analysis import Cell, Measurements
from fxformer.claims.measures import Measure
from fxformer.claims.record import VERSIONS
from fxformer.claims.study import ClaimStudy
from fxformer.energy.meter import Meter
from fxformer.inference.pipelines.cost import charged
from fxformer.search import study_io
from fxformer.search.study import Study, Trial
from fxformer.track.provenance import packages

FOLDER = "measured"  # in the folder of the search: SLOT.json


def cells(study: ClaimStudy) -> Iterator[Cell]:
    """Cells in the order of the slots of the search."""
    levels = next(iter(study.levels.values()), [None])
    for arm in study.arms:
        for level in levels:
            for seed in range(study.seeds):
                yield arm, level, seed


@dataclasses.dataclass(frozen=True)
class MeasuredCells:
    """Files with the numbers of each slot: <folder of the search>/measured/00003.json.

    A number is kept under the digest of its measure and of the versions of the packages, so that
    another measure of the same name, and what other versions measured, is measured anew.
    """

    study: ClaimStudy
    folder: Path

    def missing(self, slot: int) -> dict[str, Measure]:
        """Measures that the slot has no number of."""
        kept = self._read(slot)["numbers"]
        return {n: m for n, m in self.study.measures.items() if _key(n, m) not in kept}

    def add(self, slot: int, number: Callable[[Measure], float], meter: Meter | None) -> None:
        """Measure what is missing of a slot, and write it with its joules and seconds."""
        missing = self.missing(slot)
        if not missing:
            return
        with charged(meter, "evaluate") as spent:
            found = {_key(name, one): number(one) for name, one in missing.items()}
        found = {key: value if math.isfinite(value) else None for key, value in found.items()}
        kept = self._read(slot)
        kept["numbers"] |= found
        kept["joules"] += spent.joules
        kept["seconds"] += spent.seconds
        kept["provenance"] = meter.provenance if meter is not None else ""
        self.folder.mkdir(parents=True, exist_ok=True)
        jsonl.replace(self._file(slot), json.dumps(kept) + "\n")

    def measurements(self) -> Measurements:
        """All numbers so far."""
        found: dict[str, dict[Cell, float]] = {name: {} for name in self.study.measures}
        for slot, cell in enumerate(cells(self.study)):
            kept = self._read(slot)["numbers"]
            for name, measure in self.study.measures.items():
                value = kept.get(_key(name, measure))
                if value is not None:
                    found[name][cell] = value
        return Measurements(found)

    @property
    def joules(self) -> float:
        """Energy of measuring."""
        return sum(self._read(slot)["joules"] for slot, _ in enumerate(cells(self.study)))

    @property
    def seconds(self) -> float:
        """Time of measuring."""
        return sum(self._read(slot)["seconds"] for slot, _ in enumerate(cells(self.study)))

    @property
    def provenance(self) -> str:
        """How the joules of measuring were measured; "" where nothing was."""
        found = [self._read(slot).get("provenance", "") for slot, _ in enumerate(cells(self.study))]
        return next(filter(None, found), "")

    def _file(self, slot: int) -> Path:
        return self.folder / f"{slot:05d}.json"

    def _read(self, slot: int) -> dict[str, Any]:
        """The content of a file; of one that is missing or not of ours, that of an empty one."""
        try:
            kept = jsonl.load(self._file(slot))
            numbers = {str(key): value for key, value in kept["numbers"].items()}
            spent = {name: float(kept[name]) for name in ("joules", "seconds")}
            wrong = [one for one in numbers.values() if not isinstance(one, float | int | None)]
            if wrong or not all(map(math.isfinite, spent.values())):
                raise ValueError(f"{self._file(slot)}: {wrong or spent}")
            return {"numbers": numbers, **spent, "provenance": str(kept.get("provenance", ""))}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return {"numbers": {}, "joules": 0.0, "seconds": 0.0}


@functools.cache
def _versions() -> dict[str, str | None]:
    found = packages()
    return {name: found.get(name) for name in VERSIONS}


def _key(name: str, measure: Any) -> str:
    plain = {field.name: getattr(measure, field.name) for field in dataclasses.fields(measure)}
    kept = [type(measure).__qualname__, plain, _versions()]
    words = json.dumps(kept, sort_keys=True, default=str)
    return f"{name}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def trials_of(folder: Path) -> Mapping[int, Trial]:
    """{slot: trial} of a search with the energy that its running trials have used so far."""
    study = Study.open(folder)
    return {
        one.slot: study_io.with_energy(study, one) if one.state == "running" else one
        for one in study.trials()
    }
