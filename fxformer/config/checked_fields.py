"""Values of a yaml for the fields of a dataclass, checked by name and type."""

import dataclasses
from collections.abc import Iterable
from typing import Any, get_type_hints

from fxformer.config.type_check import nearest, type_problem
from fxformer.errors import UserError


def checked_fields(where: str, given: Any, kind: type, skip: Iterable[str] = ()) -> dict[str, Any]:
    """The values of a dataclass's fields. UserError for an unknown, missing or unfit one."""
    if not isinstance(given, dict):
        raise UserError(f"{where}: expected a mapping, got {type(given).__name__}")
    hints, fields = get_type_hints(kind, include_extras=True), dataclasses.fields(kind)
    names = [one.name for one in fields]
    for key in given:
        if key not in names:
            raise UserError(f"{where}: there is no key {key!r}{nearest(str(key), names)}")
    for one in fields:
        required = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        if required and one.name not in given and one.name not in skip:
            raise UserError(f"{where}: {one.name} is missing")
    found = {key: value for key, value in given.items() if key not in skip}
    for key, value in found.items():
        if why := type_problem(value, hints[key]):
            raise UserError(f"{where}: {key}: {why}")
    return found
