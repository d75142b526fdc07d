"""Types of run.json: which keys readers use, and what is wrong with a value of another type.

Keys that are not named here may hold anything: later versions and searches add their own.
"""

import functools
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from fxformer import jsonl
from fxformer.config.type_check import type_problem

# JSON has no NaN and no infinity: they travel as text, see jsonl.
Number = float | Literal["nan", "inf", "-inf"] | None


class Attempt(TypedDict, total=False):
    started: str | None
    ended: str | None
    status: str
    command: str


class Code(TypedDict, total=False):
    commit: str | None
    dirty: bool | None


class Machine(TypedDict, total=False):
    cpu: str | None
    threads: int | None
    memory_gb: Number


class Owner(TypedDict, total=False):
    host: str | None
    pid: int | None
    process_start: str | None


class Summary(TypedDict, total=False):
    best: Number
    joules: Number
    kwh: Number
    gco2e: Number
    mfu: Number
    flops_per_second: Number
    valid_loss: Number
    valid_nll: Number
    valid_accuracy: Number
    valid_bits_per_byte: Number
    valid_perplexity: Number


class Record(TypedDict, total=False):
    """run.json"""

    id: str
    name: str
    status: str
    reason: str | None
    command: str
    started: str | None
    ended: str | None
    attempts: list[Attempt]
    owner: Owner | None
    code: Code | None
    packages: dict[str, str | None] | None
    python: str | None
    platform: str | None
    machine: Machine | None
    devices: list[str] | None
    data: dict[str, Any] | None
    parameters: int | None
    trained_parameters: int | None
    flops_per_token: Number
    peak_flops: Number
    architecture: str | None
    attention: list[dict[str, Any]] | None
    overrides: list[str] | None
    sweep: str | None
    summary: Summary | None
    metrics: dict[str, str] | None
    evaluation: dict[str, Any] | None
    wandb_id: str | None


def problem(value: Any, schema: Any = Record, path: str = "") -> str | None:
    """What is wrong with `value` for a TypedDict, a list of it, or it or None: "summary: expected
    a mapping, got [1]"; None when it fits. path: of the keys down to it"""
    arguments = typing.get_args(schema)
    if type(None) in arguments and len(arguments) == 2 and typing.is_typeddict(arguments[0]):
        return None if value is None else problem(value, arguments[0], path)
    if typing.get_origin(schema) is list and typing.is_typeddict(arguments[0]):
        if not isinstance(value, list):
            return f"{path}: expected a list, got {_short(value)}"
        found = (problem(one, arguments[0], f"{path}[{n}]") for n, one in enumerate(value))
        return next((one for one in found if one), None)
    if not typing.is_typeddict(schema):
        wrong = type_problem(value, schema)
        return wrong and f"{path}: {wrong}"[:200]
    if not isinstance(value, Mapping):
        return f"{path or 'the record'}: expected a mapping, got {_short(value)}"
    hints = _hints(schema)
    found = (
        problem(value[key], hint, f"{path}.{key}" if path else key)
        for key, hint in hints.items()
        if key in value
    )
    return next((one for one in found if one), None)


def decoded(record: dict[str, Any], schema: Any = Record) -> dict[str, Any]:
    """A record without problems with its numbers that travel as text ("nan") as floats."""
    found = dict(record)
    for key, hint in _hints(schema).items():
        value = record.get(key)
        if hint == Number and isinstance(value, str):
            found[key] = float(value)
        elif isinstance(value, dict) and hint == Summary | None:
            found[key] = jsonl.decode(value)
    return found


@functools.cache
def _hints(schema: Any) -> dict[str, Any]:
    return typing.get_type_hints(schema)


def _short(value: Any) -> str:
    return repr(value)[:60]
