"""Fixtures of the pipelines' tests: tiny models, and what transformers 4.46 answers with them."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fxformer.inference.load import load
from fxformer.inference.model import Model

FOLDER = Path(__file__).parent / "fixtures"
TOLERANCE = 2e-5


@functools.cache
def model(name: str) -> Model:
    return load(FOLDER / name)


def cases(name: str, task: str) -> list[dict[str, Any]]:
    """The questions of a fixture: {"options", "input", "output"}."""
    found = json.loads((FOLDER / name / "outputs.json").read_text())
    return [case for case in found if case["task"] == task]


def names(task: str) -> list[Any]:
    """The fixtures that have answers of a task; the first of BERT in the quick tests."""
    found = [path.parent.name for path in sorted(FOLDER.glob("*/outputs.json"))]
    found = [name for name in found if cases(name, task)]
    quick = next((name for name in found if name.startswith("bert_")), found[0])
    return [name if name == quick else pytest.param(name, marks=pytest.mark.slow) for name in found]


def together(made: Any, some: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Any]]:
    """(case, answer) of each case; those with one row and equal options are asked in one call."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in some:
        alone = isinstance(case["input"], list)
        groups.setdefault(json.dumps([case["options"], alone and case["input"]]), []).append(case)
    for group in groups.values():
        alone, options = isinstance(group[0]["input"], list), group[0]["options"]
        found = made(group[0]["input"] if alone else [case["input"] for case in group], **options)
        yield from zip(group, [found] if alone else found, strict=True)


def same(made: Any, wanted: Any, where: str = "") -> None:
    """Assert that two nested values are equal, numbers up to TOLERANCE."""
    if isinstance(wanted, dict):
        assert set(made) == set(wanted), where
        for key, value in wanted.items():
            same(made[key], value, f"{where}.{key}")
    elif isinstance(wanted, list) and isinstance(made, np.ndarray):
        np.testing.assert_allclose(made, np.array(wanted), rtol=2e-4, atol=2e-4, err_msg=where)
    elif isinstance(wanted, list):
        assert len(made) == len(wanted), where
        for number, (one, other) in enumerate(zip(made, wanted, strict=True)):
            same(one, other, f"{where}[{number}]")
    elif isinstance(wanted, float):
        assert abs(made - wanted) <= TOLERANCE * max(1, abs(wanted)), (where, made, wanted)
    else:
        assert made == wanted, (where, made, wanted)
