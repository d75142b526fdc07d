"""Values of records: the text and the control code under a key, which may be dotted."""

from collections.abc import Mapping
from typing import Any

from fxformer.errors import UserError


def value(record: Any, key: str, where: str, knob: str) -> Any:
    """record["a"]["b"] for the key "a.b", unless "a.b" is itself a key; None where a value on the
    way is null. UserError, naming what there is, where a key is missing."""
    if isinstance(record, Mapping) and key in record:
        return record[key]
    found, path = record, []
    for part in key.split("."):
        if found is None and path:
            return None
        if not isinstance(found, Mapping) or part not in found:
            known = ", ".join(map(str, found)) if isinstance(found, Mapping) else _kind(found)
            inside = f" under {'.'.join(path)!r}" if path else ""
            raise UserError(f"{where} has no {key!r} ({knob}); it has{inside}: {known}")
        found = found[part]
        path.append(part)
    return found


def text(record: Any, key: str, where: str, knob: str) -> str | None:
    """The text under a key; None where it is null or blank. UserError where it is no text."""
    found = value(record, key, where, knob)
    if found is not None and not isinstance(found, str):
        raise UserError(f"{where}: {key!r} is no text but {_kind(found)}")
    return found if found and found.strip() else None


def _kind(one: Any) -> str:
    return type(one).__name__
