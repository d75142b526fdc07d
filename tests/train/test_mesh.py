"""Meshes of 1, 2 and 8 simulated devices: the same numbers, the expected collectives."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from fxformer.rules import named
from fxformer.train.mesh import MeshConfig, check_batch_size

HERE = Path(__file__).parent


def test_eight_devices_in_a_process_of_its_own():
    eight = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    flags = {"XLA_FLAGS": eight, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(HERE / "eight_devices.py")]
    done = subprocess.run(
        command, env=os.environ | flags, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "all equal"


def test_a_batch_that_does_not_divide_names_the_nearest_sizes():
    mesh = jax.sharding.AbstractMesh((4, 2), ("data", "fsdp"))
    check_batch_size(32, mesh, 2)
    with pytest.raises(ValueError, match=r"20 rows .* 8 devices x 2 micro-batches .* 16 or 32"):
        check_batch_size(20, mesh, 2)
    with pytest.raises(ValueError, match="write 8"):
        check_batch_size(3, mesh)


@pytest.mark.parametrize("knobs", [{"data": 0}, {"data": -1, "fsdp": -1}])
def test_a_mesh_of_nothing_is_refused(knobs):
    with pytest.raises(ValueError, match=r"mesh\.data"):
        MeshConfig(**knobs)


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(ValueError, match="needs 64 devices, and there are 1"):
        MeshConfig(data=64).mesh(jax.devices()[:1])


def test_big_leaves_are_cut_over_their_largest_axis_but_never_over_layers():
    mesh = jax.sharding.AbstractMesh((1, 4), ("data", "fsdp"))
    like = {
        "blocks": {"kernel": jax.ShapeDtypeStruct((64, 8, 16), jnp.float32)},
        "odd": jax.ShapeDtypeStruct((33, 12), jnp.float32),
        "small": jax.ShapeDtypeStruct((4,), jnp.float32),
        "prime": jax.ShapeDtypeStruct((31, 31), jnp.float32),
    }
    specs = {
        p: tuple(s.spec)
        for p, s in named(MeshConfig(fsdp=-1, min_size=16).shardings(like, mesh)).items()
    }
    assert specs == {
        "blocks/kernel": (None, None, "fsdp"),
        "odd": (None, "fsdp"),
        "small": (),
        "prime": (),
    }
    ruled = MeshConfig(fsdp=-1, rules=[("kernel", 1), ("odd", None)]).shardings(like, mesh)
    assert tuple(ruled["blocks"]["kernel"].spec) == (None, "fsdp")
    with pytest.raises(ValueError, match=r"axis 0 of odd \(33, 12\) is not divisible by 4"):
        MeshConfig(fsdp=-1, rules=[("odd", 0)]).shardings(like, mesh)
