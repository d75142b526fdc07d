"""A checkpoint on other meshes and other numbers of processes: the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.cli.launch import environment, free_port
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.checkpoint_files import read_host

SCRIPT = Path(__file__).with_name("restoring_process.py")
ROOT = Path(__file__).resolve().parents[2]
HOPS = (  # processes, devices of each, data, fsdp, tensor
    (2, 4, 2, 4, 1),
    (1, 8, 1, 2, 4),
    (2, 4, 2, 2, 2),
    (1, 1, 1, 1, 1),
    (4, 2, 1, 1, 8),
    (1, 8, 1, 8, 1),
    (4, 2, 4, 2, 1),
    (2, 4, 8, 1, 1),
)


def state() -> dict[str, np.ndarray]:
    """Arrays of a run: a vocabulary of 1001, which 4 does not divide, moments, counters."""
    draw = np.random.default_rng(0)
    return {
        "params/embedding": draw.normal(size=(1001, 12)).astype(np.float32),
        "params/odd": draw.normal(size=(1001, 13)).astype(np.float32),
        "params/blocks/kernel": draw.normal(size=(2, 16, 24)).astype(np.float32),
        "opt/moment": np.asarray(jnp.asarray(draw.normal(size=(64, 6)), jnp.bfloat16)),
        "key": draw.integers(0, 2**32, 2, dtype=np.uint32),
        "step": np.int32(7),
    }


def moved(source: Path, target: Path, hop: tuple[int, ...]) -> str:
    """Restore and save in processes of their own; what process 0 says."""
    processes, devices, *sizes = hop
    before = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    port, begun = free_port(), []
    for process in range(processes):
        command = [sys.executable, str(SCRIPT), *map(str, (source, target, *sizes))]
        env = environment(before, process, processes, devices, port)
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        begun.append(subprocess.Popen(command, env=env, **options))
    said = [one.communicate(timeout=500) for one in begun]
    assert [one.returncode for one in begun] == [0] * processes, said
    return said[0][0]


def _axes_of_kernel(hop: tuple[int, ...]) -> tuple[str | None, str]:
    """Axes of the mesh over which rows and columns of the kernel are sharded."""
    return ("fsdp" if hop[3] > 1 else None), "tensor"


@pytest.mark.slow
def test_a_checkpoint_has_the_same_bytes_after_each_change_of_mesh_and_processes(tmp_path):
    wanted, source = state(), tmp_path / "0"
    checkpoints = Checkpoints(source)
    checkpoints.save(7, wanted, {"totals": {"tokens": 5}}, metric=0.5)
    assert checkpoints.wait()
    for number, hop in enumerate(HOPS, 1):
        target = tmp_path / str(number)
        said = moved(source, target, hop)
        found, host = Checkpoints(target).read(7)
        assert host == {"totals": {"tokens": 5}}
        assert found.keys() == wanted.keys()
        for path, array in wanted.items():
            assert found[path].dtype == array.dtype
            assert found[path].tobytes() == array.tobytes(), path
        files = sorted(read_host(target / "00000007").get("parts", {}))
        assert files == [f"state-{n}.safetensors" for n in range(1, hop[0])]
        if hop[3] == 4:  # 1001 rows are never cut; 12 columns are
            assert "'params/embedding': (None, 'fsdp')" in said
            assert "'params/odd': ()" in said
        if hop[4] > 1:  # neither are they split; matrices are, beside fsdp
            both = ", ".join(f"{name!r}" for name in _axes_of_kernel(hop))
            assert f"'params/blocks/kernel': (None, {both})" in said
            assert "'tensor'" not in said.split("'params/embedding': (")[1].split(")")[0]
        source = target
