"""API of studies of claims by `fxformer reproduce`: verdict, cost and figure."""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.dashboard.run_index import RunIndex
from fxformer.search.study import FOLDER

LARGEST = 2**20  # bytes of a figure that is shown


def claim_results(index: RunIndex, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """[{"name" of the search, "verdict", "seeds", "joules", "minutes", "date", "energy",
    "figure": SVG text, "pdf": the same in base64, "" where it is missing}, …] by name; none in a
    report on selected runs. What cannot be read is left out."""
    if not index.whole:
        return []
    return [
        {"name": file.parent.name, **found}
        for file in sorted((index.root / FOLDER).glob("*/result.json"))
        if (found := _result(file)) is not None
    ]


def _result(file: Path) -> dict[str, Any] | None:
    try:
        kept = jsonl.load(file)
        figure = _small(file.with_name("figure.svg")).decode("utf-8")
        return {
            "verdict": str(kept["verdict"]),
            "seeds": int(kept["seeds"]),
            "joules": float(kept["joules"]),
            "minutes": float(kept["minutes"]),
            "date": str(kept["date"]),
            "energy": str(kept["energy"]),
            "figure": figure,
            "pdf": base64.b64encode(_small(file.with_name("figure.pdf"))).decode("ascii"),
        }
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _small(file: Path) -> bytes:
    """The bytes of a file; none of one that is missing, too large or a link."""
    known = file.is_file() and not file.is_symlink() and file.stat().st_size <= LARGEST
    return file.read_bytes() if known else b""


def embedded_requests(index: RunIndex) -> Iterable[tuple[str, dict[str, str]]]:
    """The requests whose answers a report embeds."""
    yield "claim_results", {}
