"""What `fxformer compare` has found: the same words asked of runs of different objectives."""

from collections.abc import Iterable, Mapping
from typing import Any

from fxformer import jsonl
from fxformer.dashboard.run_index import Shelf
from fxformer.evaluate.compare import KEPT


def yardstick(shelf: Shelf, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """The comparisons that are kept beside the runs, the newest first, each as
    `fxformer compare --json` writes it and with "name"."""
    found, names = [], {run.id: key for key, run in shelf.runs().items()}
    for file in sorted((shelf.root / KEPT).glob("*.json"), reverse=True):
        try:
            one = jsonl.load(file)
            for run in one["runs"]:
                run["key"] = names.get(run["run"])
                run.pop("folder", None)
            if not shelf.whole:
                one["runs"] = [run for run in one["runs"] if run["key"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append(one | {"name": file.stem})
    return found


def questions(shelf: Shelf) -> Iterable[tuple[str, dict[str, str]]]:
    """What a report holds of this."""
    yield "yardstick", {}
