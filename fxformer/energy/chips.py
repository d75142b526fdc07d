"""Accelerators as their makers state them: design power and the most arithmetic a second.

chips.csv: watts of a board or chip; TFLOP/s of dense matrix products in bfloat16 or float16
(`narrow`) and in what JAX does with float32 matrices unless told otherwise (`wide`: TF32 on NVIDIA
since Ampere, bfloat16 passes on TPU). No sparsity. An empty field is not published, or not known
here. `source` says whose figures they are: NVIDIA's data sheets, Google's Cloud TPU documentation,
Jouppi et al. 2021 (Ten Lessons from Three Generations). `seen` is the page on which the row was
checked in November 2026; where it is empty, the row was written from memory of the source.
"""

import csv
import dataclasses
import functools
import re
from importlib import resources

WATTS = 300  # for an accelerator whose power is not in the table
_SOURCES = {
    "NVIDIA": "NVIDIA data sheet",
    "Google": "Cloud TPU documentation",
    "Jouppi 2021": "Jouppi et al. 2021",
}


@dataclasses.dataclass(frozen=True)
class Chip:
    """watts, narrow, wide: None where not known; source: whose figures; seen: where checked, ""."""

    name: str
    watts: float | None
    narrow: float | None
    wide: float | None
    source: str
    seen: str


@functools.cache
def chips() -> dict[str, Chip]:
    """The table: a name that stands in what a driver calls the device -> facts."""
    text = resources.files("fxformer.energy").joinpath("chips.csv").read_text(encoding="utf-8")
    return {
        row["name"]: Chip(
            row["name"],
            *(_number(row[k]) for k in ("watts", "narrow", "wide")),
            _SOURCES[row["source"]],
            row["seen"],
        )
        for row in csv.DictReader(text.splitlines())
    }


def chip(kind: str) -> Chip | None:
    """The accelerator that its driver calls `kind`; None: not in the table."""
    key = match(chips(), kind)
    return None if key is None else chips()[key]


def chip_watts(kind: str) -> tuple[float, str]:
    """Watts of an accelerator at full load, and where that is from."""
    found = chip(kind)
    if found is None or found.watts is None:
        return float(WATTS), f"{WATTS} W assumed (no power of {kind} in the table)"
    return found.watts, f"TDP {found.watts:g} W of {found.name} ({found.source})"


def match(table: dict, name: str) -> str | None:
    """The longest key that stands in `name` as whole words ("L4" is not in "L40S")."""
    found = [k for k in table if re.search(rf"(?<!\w){re.escape(k)}(?!\w)", name, re.IGNORECASE)]
    return max(found, key=len, default=None)


def _number(text: str) -> float | None:
    return float(text) if text else None
