"""Conversion report: what became of each tensor of a checkpoint and each array of a model."""

import dataclasses
from collections import Counter
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxformer.track.formatting import safe

REPORT = "conversion_report.json"  # in a run's folder
Status = Literal[
    "loaded", "transposed", "split", "shared", "constant", "ignored", "fresh", "reinitialised"
]


@dataclasses.dataclass(frozen=True)
class ReportLine:
    """One tensor, or the same tensor of every layer.

    status: loaded, transposed, or split into several arrays; shared: another name of a tensor that
        is already loaded; constant: checked against the value computed here; ignored: listed in the
        family's weight map as carrying no weight; fresh: not in the file, drawn by model.init;
        reinitialised: the top layers of an array, drawn by model.init though the file has them
    tensor: name in the file, "" if there is none
    path: parameter path in the model, "" if there is none
    shape: of one layer's tensor in the file; of the model's array if fresh
    layers: number of layers this line stands for
    """

    status: Status
    tensor: str
    path: str
    shape: tuple[int, ...]
    layers: int = 1


def as_json(lines: list[ReportLine]) -> list[dict]:
    """The report as JSON-serialisable dicts."""
    return [dataclasses.asdict(line) | {"shape": list(line.shape)} for line in lines]


def show(lines: list[ReportLine], console: Console) -> None:
    """Print the report as a table, followed by its summary."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("status", "tensor", "parameter", "shape"):
        table.add_column(name, overflow="fold", justify="right" if name == "shape" else "left")
    for line in lines:
        shape = "×".join(map(str, line.shape)) or "scalar"
        layers = f"{line.layers} · " if line.layers > 1 else ""
        # Text: square brackets in a tensor name are not rich markup
        table.add_row(line.status, Text(safe(line.tensor)), Text(line.path), layers + shape)
    console.print(table, highlight=False)
    console.print(summary(lines), highlight=False)


def summary(lines: list[ReportLine]) -> str:
    """The number of tensors by status: "12 loaded, 24 transposed, 1 fresh"."""
    counts = Counter()
    for line in lines:
        counts[line.status] += line.layers
    return ", ".join(f"{n} {status}" for status, n in counts.items())
