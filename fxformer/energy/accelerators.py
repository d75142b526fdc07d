"""Table of accelerators: design power (TDP) and peak FLOP/s of matrix products.

accelerators.csv: watts of a board or chip; TFLOP/s of dense matrix products in bfloat16 or float16
(`half_tflops`) and of float32 matrices at JAX's default precision (`single_tflops`: TF32 on NVIDIA
since Ampere, bfloat16 passes on TPU). No sparsity. An empty field: not published or not known.
`source` is the publisher of the figures: NVIDIA's data sheets, Google's Cloud TPU documentation,
Jouppi et al. 2021 (Ten Lessons from Three Generations). `checked_at` is the page on which the row
was checked in November 2026; where it is empty, the row has not been checked against its source.
"""

import csv
import dataclasses
import functools
import re
from importlib import resources

DEFAULT_WATTS = 300  # for an accelerator whose power is not in the table
_SOURCES = {
    "NVIDIA": "NVIDIA data sheet",
    "Google": "Cloud TPU documentation",
    "Jouppi 2021": "Jouppi et al. 2021",
}


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """One row of the table; watts and TFLOP/s are None where unknown, checked_at may be ""."""

    name: str
    watts: float | None
    half_tflops: float | None
    single_tflops: float | None
    source: str
    checked_at: str


@functools.cache
def accelerators() -> dict[str, Accelerator]:
    """The table: {name, which is part of the driver's name of the device: row}."""
    file = resources.files("fxformer.energy").joinpath("accelerators.csv")
    return {
        row["name"]: Accelerator(
            row["name"],
            _number(row["watts"]),
            _number(row["half_tflops"]),
            _number(row["single_tflops"]),
            _SOURCES[row["source"]],
            row["checked_at"],
        )
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    }


def find_accelerator(kind: str) -> Accelerator | None:
    """The row of the accelerator that its driver calls `kind`; None: not in the table."""
    key = longest_match(accelerators(), kind)
    return None if key is None else accelerators()[key]


def accelerator_watts(kind: str) -> tuple[float, str]:
    """(design power in watts, its source) of the accelerator that its driver calls `kind`."""
    found = find_accelerator(kind)
    if found is None or found.watts is None:
        return float(
            DEFAULT_WATTS
        ), f"{DEFAULT_WATTS} W assumed (no design power of {kind} in the table)"
    return found.watts, f"TDP {found.watts:g} W of {found.name} ({found.source})"


def longest_match(table: dict, name: str) -> str | None:
    """The longest key of `table` that occurs in `name` as whole words ("L4" is not in "L40S")."""
    found = [k for k in table if re.search(rf"(?<!\w){re.escape(k)}(?!\w)", name, re.IGNORECASE)]
    return max(found, key=len, default=None)


def _number(text: str) -> float | None:
    return float(text) if text else None
