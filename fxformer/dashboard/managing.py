"""Changes made from the page: pin, archive, delete and restore runs; saved views.

A deleted run is moved to <runs>/.trash/ and can be restored from there; the folder is never emptied
automatically. Saved views are addresses of the page by name, in <runs>/.views.json.
"""

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from fxformer import jsonl
from fxformer.config.type_check import type_problem
from fxformer.dashboard import notes
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.track.run_lock import RunLock

TRASH, VIEWS = ".trash", ".views.json"  # in the folder of the runs
_NAME, _ADDRESS, _VIEWS = 60, 4000, 100  # characters, characters, views
_changing = threading.Lock()


def mark(index: RunIndex, given: Mapping[str, Any]) -> dict[str, Any]:
    """Pin or archive runs: {"keys": […], "pinned" or "archived": bool}."""
    revisions = {name: given[name] for name in notes.MARKS if name in given}
    for key in _keys(given):
        notes.write(index, {"key": key, **revisions})
    return revisions


def delete(index: RunIndex, given: Mapping[str, Any]) -> dict[str, Any]:
    """Move the runs of {"keys": […]} to the trash. UserError where one is still running."""
    runs = {key: index.run(key) for key in _keys(given)}
    for run in runs.values():
        RunLock(run.folder).release()  # RunBusyError while its process lives
    with _changing:
        for key, run in runs.items():
            place = index.root / TRASH / key
            if place.exists():
                raise UserError(f"{place} exists already: remove it first")
            place.parent.mkdir(parents=True, exist_ok=True)
            run.folder.rename(place)
    return {"deleted": list(runs), "folder": str(index.root / TRASH)}


def restore(index: RunIndex, given: Mapping[str, Any]) -> dict[str, Any]:
    """Move the runs of {"keys": […]} back from the trash. UserError for one that is not in it."""
    keys, trash = _keys(given), index.root / TRASH
    known = {
        file.parent.relative_to(trash).as_posix(): file.parent
        for depth in ("*", "*/*")
        for file in trash.glob(f"{depth}/run.json")
    }
    with _changing:
        for key in keys:
            place = index.root / key
            if key not in known or place.exists():
                raise UserError(f"{key!r} cannot be restored from {trash}/")
            place.parent.mkdir(parents=True, exist_ok=True)
            known[key].rename(place)
    return {"restored": keys}


def views(index: RunIndex, params: Mapping[str, str]) -> dict[str, str]:
    """{name: address of the page, from the # on}: the saved views."""
    try:
        given = jsonl.load(index.root / VIEWS)
    except (OSError, ValueError):
        return {}
    if type_problem(given, dict[str, str]):
        return {}
    return {name: address for name, address in given.items() if _is_address(address)}


def save_view(index: RunIndex, given: Mapping[str, Any]) -> dict[str, str]:
    """Save {"name", "address"}, or delete the view where address is null; returns all views."""
    name, address = given.get("name"), given.get("address")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= _NAME:
        raise UserError(f"the name of a view has 1 to {_NAME} characters")
    if address is not None and not _is_address(address):
        raise UserError(
            f"the address of a view begins with # and has at most {_ADDRESS} characters"
        )
    with _changing:
        kept = {one: place for one, place in views(index, {}).items() if one != name.strip()}
        if address is not None:
            kept[name.strip()] = address
        if len(kept) > _VIEWS:
            raise UserError(f"there are already {_VIEWS} saved views: delete one")
        jsonl.replace(index.root / VIEWS, json.dumps(kept, ensure_ascii=False) + "\n")
    return kept


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("#") and len(value) <= _ADDRESS


def _keys(given: Mapping[str, Any]) -> list[str]:
    keys = given.get("keys")
    if why := type_problem(keys, list[str]):
        raise UserError(f"keys: {why}")
    return list(dict.fromkeys(keys or []))


def embedded_requests(index: RunIndex) -> Iterable[tuple[str, dict[str, str]]]:
    """The requests whose answers a report embeds."""
    yield "views", {}
