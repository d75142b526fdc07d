"""Goldens: nothing about a model, an objective or an experiment changes unseen (see write.py)."""

import difflib

import numpy as np
import pytest
import write

from fxformer.config.check import problems

ALL = [(g, name) for g in write.WRITERS for name in write.names(g) if name not in write.WITHOUT]


def difference(group: str, name: str, now: str) -> str:
    """A unified diff from the golden to now; "" where they are alike."""
    golden = write.file(group, name)
    before = golden.read_text(encoding="utf-8") if golden.is_file() else ""
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), golden.name, "now", n=1)
    return "\n".join(lines)


@pytest.mark.parametrize("group,name", ALL)
@pytest.mark.sample(4)
def test_the_config_and_the_parameters_are_those_of_the_golden(group, name):
    changed = difference(group, name, write.WRITERS[group](name))
    assert not changed, f"if this is meant, run `make goldens` and commit:\n{changed}"


def test_each_golden_is_of_something():
    kept = {write.file(group, name) for group, name in ALL}
    assert {p for group in write.WRITERS for p in write.file(group, "").parent.glob("*")} == kept


@pytest.mark.parametrize("name", [p for p in write.names("model") if p not in write.WITHOUT])
def test_a_family_passes_the_gate_with_the_plain_objective(name):
    assert problems(write.of_family(name)) == []


@pytest.fixture(scope="module")
def golden_steps() -> tuple[str, dict[str, list[tuple[str, str]]]]:
    """Instructions, and (loss, gradient norm) of each step by name."""
    first, _, *lines = (write.HERE / "steps.txt").read_text().splitlines()
    found = {}
    for name, _, *pair in map(str.split, lines):
        found.setdefault(name, []).append(tuple(pair))
    return first.removeprefix("instructions: "), found


@pytest.mark.parametrize("name", write.STEPS)
def test_the_first_steps_have_the_loss_and_gradient_of_the_golden(name, golden_steps):
    instructions, steps = golden_steps
    golden = [[float.fromhex(value) for value in pair] for pair in steps[name]]
    now = write.steps(name)
    if instructions == write.instructions():
        assert now == [tuple(pair) for pair in golden]
    else:  # other instructions round otherwise
        np.testing.assert_allclose(now, golden, rtol=1e-4)
