"""API of audits by `fxformer bias`: scores of models by category, with intervals."""

from collections.abc import Iterable, Mapping
from typing import Any

from fxformer import jsonl
from fxformer.dashboard.run_index import RunIndex
from fxformer.evaluate.bias.command import KEPT

MOST = 20  # commands whose audits are shown, the newest


def bias_audits(index: RunIndex, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """The audits stored beside the runs, the newest first, each as in the JSON of `fxformer bias`
    with an added "name", the time of the command."""
    found, names = [], {run.id for run in index.runs().values()}
    for file in sorted((index.root / KEPT).glob("*.json"), reverse=True)[:MOST]:
        try:
            for one in jsonl.load(file)["audits"]:
                if not index.whole:  # a report of some runs shows no others
                    one["models"] = [m for m in one["models"] if m["model"] in names]
                    one["differences"] = []
                if one["models"]:
                    found.append(one | {"name": file.stem})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def embedded_requests(index: RunIndex) -> Iterable[tuple[str, dict[str, str]]]:
    """The requests whose answers a report embeds."""
    yield "bias_audits", {}
