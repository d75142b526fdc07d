"""What must not change a number in a whole training step: cutting, scanning, recomputing, sharing
the work among devices; and packing, which must not change a piece's loss."""

import functools
import os
import subprocess
import sys

import pytest

from tests.physics.steps import KINDS, after_two_steps, equal
from tests.physics.training import ROOT

slow = pytest.mark.slow
# One architecture by default, that with the smallest step, since each case compiles one: what is
# tested is the trainer's.
SOME = ["encoder", *(pytest.param(kind, marks=slow) for kind in KINDS if kind != "encoder")]


@functools.cache
def plain(kind: str):
    return after_two_steps(kind)


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize("parts", [2, pytest.param(8, marks=slow)])
def test_accumulation_is_exact_for_unequal_counts(kind, parts):
    equal(plain(kind), after_two_steps(kind, f"trainer.accumulate={parts}"))


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize(
    "knobs", [("model.unroll=1",), pytest.param(("model.unroll=1", "model.remat=true"), marks=slow)]
)
def test_a_scan_and_recomputing_change_nothing(kind, knobs):
    equal(plain(kind), after_two_steps(kind, *knobs))


@slow
@pytest.mark.parametrize("kind", KINDS)
def test_devices_change_nothing(kind):
    flags = {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.physics.devices", kind]
    done = subprocess.run(
        command, env=os.environ | flags, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "all equal"
