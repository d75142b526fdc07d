"""The table of runs."""

from collections.abc import Iterable, Mapping
from typing import Any

from fxformer.dashboard.shelf import Shelf


def runs(shelf: Shelf, params: Mapping[str, str]) -> dict[str, Any]:
    """{"root", "runs": [{"key", "id", "status", …}]}, the oldest first."""
    rows = []
    for key, run in shelf.runs().items():
        rows.append({"key": key, "id": run.id, "status": run.status,
                     "reason": run.facts.get("reason")})
    return {"root": str(shelf.root), "runs": rows}


def questions(shelf: Shelf) -> Iterable[tuple[str, dict[str, str]]]:
    """What a report holds of this."""
    yield "runs", {}
