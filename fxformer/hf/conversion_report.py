"""The bill of materials: what became of every tensor of a file and of every array of a model."""

import dataclasses
from collections import Counter
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxformer.track.formatting import safe

What = Literal["loaded", "transposed", "split", "shared", "constant", "ignored", "fresh"]


@dataclasses.dataclass(frozen=True)
class Line:
    """One tensor (or one of every layer).

    what: loaded, transposed or split into several; shared: another name of a tensor that is
        already there; constant: checked, computed here; ignored: named in the family's map as
        carrying no weight; fresh: not in the file, drawn by the model's init rules
    file: its name there, "" where it has none; path: its place here, "" where it has none
    shape: of the tensor in the file, of one layer; of ours where it is fresh
    layers: how many of it there are
    """

    what: What
    file: str
    path: str
    shape: tuple[int, ...]
    layers: int = 1


def as_json(lines: list[Line]) -> list[dict]:
    """The bill as plain data."""
    return [dataclasses.asdict(line) | {"shape": list(line.shape)} for line in lines]


def show(lines: list[Line], console: Console) -> None:
    """The bill as a table, its sums at the end."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "in the files", "here", "shape"):
        table.add_column(name, overflow="fold", justify="right" if name == "shape" else "left")
    for line in lines:
        shape = "×".join(map(str, line.shape)) or "scalar"
        many = f"{line.layers} · " if line.layers > 1 else ""
        # a name in a file is text, whatever brackets it has
        table.add_row(line.what, Text(safe(line.file)), Text(line.path), many + shape)
    console.print(table, highlight=False)
    console.print(sums(lines), highlight=False)


def sums(lines: list[Line]) -> str:
    """How many tensors are loaded, transposed …"""
    counts = Counter()
    for line in lines:
        counts[line.what] += line.layers
    return ", ".join(f"{n} {what}" for what, n in counts.items())
