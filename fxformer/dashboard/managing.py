"""What the page changes beside notes: pinned and archived runs, deleted ones, saved views.

A deleted run is moved to <runs>/.trash/, from where `restore` moves it back; emptying that folder
is left to the user. Saved views are addresses of the page by name, in <runs>/.views.json.
"""

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from fxformer import jsonl
from fxformer.config.type_check import type_problem
from fxformer.dashboard import notes
from fxformer.dashboard.run_index import Shelf
from fxformer.errors import UserError
from fxformer.track.run_lock import RunLock

TRASH, VIEWS = ".trash", ".views.json"  # in the folder of the runs
_NAME, _ADDRESS, _MOST = 60, 4000, 100  # characters, characters, views
_changing = threading.Lock()


def mark(shelf: Shelf, given: Mapping[str, Any]) -> dict[str, Any]:
    """Pin or archive runs: {"keys": […], "pinned" or "archived": bool}."""
    marks = {name: given[name] for name in notes.MARKS if name in given}
    for key in _keys(given):
        notes.write(shelf, {"key": key, **marks})
    return marks


def delete(shelf: Shelf, given: Mapping[str, Any]) -> dict[str, Any]:
    """Move the runs of {"keys": […]} to the trash. UserError where one is still running."""
    runs = {key: shelf.run(key) for key in _keys(given)}
    for run in runs.values():
        RunLock(run.folder).release()  # RunBusyError while its process lives
    with _changing:
        for key, run in runs.items():
            place = shelf.root / TRASH / key
            if place.exists():
                raise UserError(f"{place} is already there: remove it first")
            place.parent.mkdir(parents=True, exist_ok=True)
            run.folder.rename(place)
    return {"deleted": list(runs), "folder": str(shelf.root / TRASH)}


def restore(shelf: Shelf, given: Mapping[str, Any]) -> dict[str, Any]:
    """Move the runs of {"keys": […]} back from the trash. UserError where one is not there."""
    keys, trash = _keys(given), shelf.root / TRASH
    known = {
        file.parent.relative_to(trash).as_posix(): file.parent
        for depth in ("*", "*/*")
        for file in trash.glob(f"{depth}/run.json")
    }
    with _changing:
        for key in keys:
            place = shelf.root / key
            if key not in known or place.exists():
                raise UserError(f"{key!r} cannot be restored from {trash}/")
            place.parent.mkdir(parents=True, exist_ok=True)
            known[key].rename(place)
    return {"restored": keys}


def views(shelf: Shelf, params: Mapping[str, str]) -> dict[str, str]:
    """{name: address of the page, from the # on}: the saved views."""
    try:
        given = jsonl.load(shelf.root / VIEWS)
    except (OSError, ValueError):
        return {}
    if type_problem(given, dict[str, str]):
        return {}
    return {name: address for name, address in given.items() if _is_address(address)}


def save_view(shelf: Shelf, given: Mapping[str, Any]) -> dict[str, str]:
    """Save {"name", "address"}, or forget the name where address is null; all views then."""
    name, address = given.get("name"), given.get("address")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= _NAME:
        raise UserError(f"a view has a name of at most {_NAME} characters")
    if address is not None and not _is_address(address):
        raise UserError(
            f"the address of a view begins with # and has at most {_ADDRESS} characters"
        )
    with _changing:
        kept = {one: place for one, place in views(shelf, {}).items() if one != name.strip()}
        if address is not None:
            kept[name.strip()] = address
        if len(kept) > _MOST:
            raise UserError(f"there are {_MOST} saved views already: remove one")
        jsonl.replace(shelf.root / VIEWS, json.dumps(kept, ensure_ascii=False) + "\n")
    return kept


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("#") and len(value) <= _ADDRESS


def _keys(given: Mapping[str, Any]) -> list[str]:
    keys = given.get("keys")
    if why := type_problem(keys, list[str]):
        raise UserError(f"keys {why}")
    return list(dict.fromkeys(keys or []))


def questions(shelf: Shelf) -> Iterable[tuple[str, dict[str, str]]]:
    """What a report holds of this."""
    yield "views", {}
