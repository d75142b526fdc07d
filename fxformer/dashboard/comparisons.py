"""API of comparisons by `fxformer compare`: runs scored on the same held-out spans."""

from collections.abc import Iterable, Mapping
from typing import Any

from fxformer import jsonl
from fxformer.dashboard.run_index import RunIndex
from fxformer.evaluate.compare import KEPT


def comparisons(index: RunIndex, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """The comparisons stored beside the runs, the newest first, each as written by
    `fxformer compare --json` with an added "name"."""
    found, names = [], {run.id: key for key, run in index.runs().items()}
    for file in sorted((index.root / KEPT).glob("*.json"), reverse=True):
        try:
            one = jsonl.load(file)
            for run in one["runs"]:
                run["key"] = names.get(run["run"])
                run.pop("folder", None)
            if not index.whole:
                one["runs"] = [run for run in one["runs"] if run["key"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append(one | {"name": file.stem})
    return found


def embedded_requests(index: RunIndex) -> Iterable[tuple[str, dict[str, str]]]:
    """The requests whose answers a report embeds."""
    yield "comparisons", {}
