"""Notes, tags and marks of a run in <run>/notes.json, replaced atomically by the server only."""

import json
import threading
from collections.abc import Mapping
from typing import Any

from fxformer import jsonl
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import StoredRun

_NOTES, _TAG, _TAGS = 20_000, 60, 30  # characters, characters, how many
_NAMES = ("notes", "tags", "pinned", "archived")
MARKS = ("pinned", "archived")
_writing = threading.Lock()


def read(run: StoredRun) -> dict[str, Any]:
    """{"notes": text, "tags": [text]}, empty without a file; also "pinned": True and "archived":
    True where set."""
    try:
        given = jsonl.load(run.folder / "notes.json")
        kept = {"notes": str(given["notes"]), "tags": [str(tag) for tag in given["tags"]]}
        return kept | {name: True for name in MARKS if given.get(name) is True}
    except (AttributeError, OSError, ValueError, KeyError, TypeError):
        return {"notes": "", "tags": []}


def write(index: RunIndex, given: Mapping[str, Any]) -> dict[str, Any]:
    """Update {"key", "notes", "tags", "pinned", "archived"} of a run; missing fields are kept.

    Returns the stored notes. UserError for values that are too long or of the wrong type."""
    run = index.run(str(given.get("key")))
    with _writing:
        kept = read(run) | {name: given[name] for name in _NAMES if name in given}
        kept = _checked(kept)
        jsonl.replace(run.folder / "notes.json", json.dumps(kept) + "\n")
    return kept


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    notes, tags = given["notes"], given["tags"]
    if not isinstance(notes, str) or len(notes) > _NOTES:
        raise UserError(f"notes are text of at most {_NOTES} characters")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise UserError("tags are a list of words")
    tags = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    if len(tags) > _TAGS or any(len(tag) > _TAG for tag in tags):
        raise UserError(f"a run has at most {_TAGS} tags of at most {_TAG} characters")
    if any(not isinstance(given.get(name, False), bool) for name in MARKS):
        raise UserError(f"{' and '.join(MARKS)} are true or false")
    redactor = Redactor()
    kept = {"notes": redactor.text(notes), "tags": [redactor.text(tag) for tag in tags]}
    return kept | {name: True for name in MARKS if given.get(name)}
