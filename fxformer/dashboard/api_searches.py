"""Searches: what was tried, what mattered, what it cost."""

import dataclasses
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from fxformer import jsonl
from fxformer.dashboard.run_index import Shelf
from fxformer.errors import UserError
from fxformer.search.report import account, importance
from fxformer.search.study import Study, studies, unreadable

_judging = threading.Lock()
_judged: dict[tuple, Any] = {}  # importances take a second or two


def searches(shelf: Shelf, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """[{"name", "created", "total"}, …], the newest first; none in a report on some runs. Those
    that cannot be read follow, with "problem": why."""
    if not shelf.whole:
        return []
    found = [
        {"name": one.name, "created": one.created, "total": one.total}
        for one in reversed(studies(shelf.root))
    ]
    return found + [
        {"name": name, "created": "", "total": 0, "problem": why}
        for name, why in unreadable(shelf.root).items()
    ]


def search(shelf: Shelf, params: Mapping[str, str]) -> dict[str, Any]:
    """One study (param name): {"study", "progress", "trials", "front": [slots], "cost", "best":
    words of a command, "minimize"}."""
    study = _study(shelf, params)
    told = account(study)
    return jsonl.encode(
        {
            "study": study.to_json(),
            "progress": told.progress,
            "minimize": study.objectives[0] not in study.maximize,
            "trials": [one.to_json() | {"status": one.status} for one in told.trials if one.params],
            "front": told.front,
            "cost": dataclasses.asdict(told.cost),
            "best": list(told.best),
        }
    )


def mattered(shelf: Shelf, params: Mapping[str, str]) -> list[dict[str, Any]] | str:
    """[{"key", "share", "chance"}, …] of one study (param name), the largest share first; or the
    sentence why it cannot be told."""
    study = _study(shelf, params)
    trials = study.trials()
    mark = (study.folder, tuple((one.slot, one.state, one.values) for one in trials))
    with _judging:
        if mark not in _judged:
            while len(_judged) > 20:
                _judged.pop(next(iter(_judged)))
            found = importance(study, trials)
            _judged[mark] = (
                found if isinstance(found, str) else [dataclasses.asdict(one) for one in found]
            )
        return _judged[mark]


def _study(shelf: Shelf, params: Mapping[str, str]) -> Study:
    """By name among those there are: no path is made from it."""
    for one in studies(shelf.root):
        if one.name == params.get("name"):
            return one
    raise UserError(f"there is no search {params.get('name')!r} in {shelf.root}/")


def questions(shelf: Shelf) -> Iterable[tuple[str, dict[str, str]]]:
    """What a report holds of this."""
    yield "searches", {}
    for one in searches(shelf, {}):
        if "problem" in one:
            continue
        yield "search", {"name": one["name"]}
        yield "mattered", {"name": one["name"]}
