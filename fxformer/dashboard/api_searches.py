"""API of searches: trials, parameter importance, Pareto front, cost."""

import dataclasses
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from fxformer import jsonl
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.search.report import parameter_importance, study_report
from fxformer.search.study import Study, studies, unreadable
from fxformer.suite import table
from fxformer.suite.stored import stored_result

_lock = threading.Lock()
_cache: dict[tuple, Any] = {}  # an importance takes a second or two


def searches(index: RunIndex, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """[{"name", "created", "total"}, …], the newest first; none in a report on selected runs.
    Unreadable studies follow, with "problem": why."""
    if not index.whole:
        return []
    found = [
        {"name": one.name, "created": one.created, "total": one.total}
        for one in reversed(studies(index.root))
    ]
    return found + [
        {"name": name, "created": "", "total": 0, "problem": why}
        for name, why in unreadable(index.root).items()
    ]


def search(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """One study (param name): {"study", "progress", "trials", "pareto": [slots], "cost",
    "best": arguments of the command that trains the best configuration, "minimize",
    "suite": its table where it is a suite of tasks, else None}."""
    study = _study(index, params)
    told = study_report(study)
    return jsonl.encode(
        {
            "study": study.to_json(),
            "progress": told.progress,
            "minimize": study.objectives[0] not in study.maximize,
            "trials": [one.to_json() | {"status": one.status} for one in told.trials if one.params],
            "pareto": told.pareto,
            "cost": dataclasses.asdict(told.cost),
            "best": list(told.best),
            "suite": suite_table(study),
        }
    )


def suite_table(study: Study) -> dict[str, Any] | None:
    """{"title", "header", "rows": [{"kind", "cells"}], "notes"} of a suite; None: it is none."""
    try:
        found = stored_result(study)
    except ValueError as error:  # runs that were changed by hand
        return {"title": study.name, "header": [], "rows": [], "notes": [str(error)]}
    if found is None:
        return None
    return {
        "title": f"{found.suite.name}: {found.model}",
        "header": table.header(found),
        "rows": [{"kind": row.kind, "cells": table.cells(found, row)} for row in table.rows(found)],
        "notes": table.notes(found),
    }


def importance(index: RunIndex, params: Mapping[str, str]) -> list[dict[str, Any]] | str:
    """[{"key", "share", "p_value"}, …] of one study (param name), the largest share first; or a
    sentence why it cannot be computed."""
    study = _study(index, params)
    trials = study.trials()
    state = (study.folder, tuple((one.slot, one.state, one.values) for one in trials))
    with _lock:
        if state not in _cache:
            while len(_cache) > 20:
                _cache.pop(next(iter(_cache)))
            found = parameter_importance(study, trials)
            _cache[state] = (
                found if isinstance(found, str) else [dataclasses.asdict(one) for one in found]
            )
        return _cache[state]


def _study(index: RunIndex, params: Mapping[str, str]) -> Study:
    """A study by name; the name is compared, never used as a path."""
    for one in studies(index.root):
        if one.name == params.get("name"):
            return one
    raise UserError(f"no search {params.get('name')!r} in {index.root}/")


def embedded_requests(index: RunIndex) -> Iterable[tuple[str, dict[str, str]]]:
    """The requests whose answers a report embeds."""
    yield "searches", {}
    for one in searches(index, {}):
        if "problem" in one:
            continue
        yield "search", {"name": one["name"]}
        yield "importance", {"name": one["name"]}
