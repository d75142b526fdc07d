"""Goldens: nothing about a model, an objective or an experiment changes unseen (see write.py)."""

import difflib

import numpy as np
import pytest
import write

from fxformer.config.check import problems

ALL = {g: [n for n in write.names(g) if n not in write.WITHOUT] for g in write.WRITERS}


def difference(group: str, name: str, now: str) -> str:
    """A unified diff from the golden to now; "" where they are alike."""
    golden = write.file(group, name)
    before = golden.read_text(encoding="utf-8") if golden.is_file() else ""
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), golden.name, "now", n=1)
    return "\n".join(lines)


def check(group: str, name: str) -> None:
    """The config and the parameters are those of the golden."""
    changed = difference(group, name, write.WRITERS[group](name))
    assert not changed, f"if this is meant, run `make goldens` and commit:\n{changed}"


@pytest.mark.parametrize("name", ALL["model"])
@pytest.mark.sample(7)
def test_a_family_has_the_config_and_the_parameters_of_its_golden(name):
    check("model", name)


@pytest.mark.parametrize("name", ALL["objective"])
@pytest.mark.sample(7)
def test_an_objective_has_the_config_and_the_parameters_of_its_golden(name):
    check("objective", name)


@pytest.mark.parametrize("name", ALL["experiment"])
@pytest.mark.sample(5)
def test_an_experiment_has_the_config_and_the_parameters_of_its_golden(name):
    check("experiment", name)


def test_each_golden_is_of_something():
    kept = {write.file(group, name) for group in ALL for name in ALL[group]}
    assert {p for group in write.WRITERS for p in write.file(group, "").parent.glob("*")} == kept


@pytest.mark.parametrize("name", ALL["model"])
@pytest.mark.sample(3)
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
@pytest.mark.sample(4)
def test_the_first_steps_have_the_loss_and_gradient_of_the_golden(name, golden_steps):
    instructions, steps = golden_steps
    golden = [[float.fromhex(value) for value in pair] for pair in steps[name]]
    now = write.steps(name)
    if instructions == write.instructions():
        assert now == [tuple(pair) for pair in golden]
    else:  # other instructions round otherwise
        np.testing.assert_allclose(now, golden, rtol=1e-4)
