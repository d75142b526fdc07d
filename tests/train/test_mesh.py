"""Meshes of 1, 2 and 8 simulated devices: the same numbers, the expected collectives."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from omegaconf import OmegaConf

from fxformer.config.build import build
from fxformer.errors import UserError
from fxformer.rules import named
from fxformer.train.experiment import open_experiment
from fxformer.train.mesh import MeshConfig, check_batch_size
from fxformer.train.state import shapes_of
from fxformer.train.tensor_parallel import check_tensor, notes
from tests.composing import composed

HERE = Path(__file__).parent
SPLIT = ("model=gpt2", "objective=clm", "data=markov", "data.symbols=18", "tokenizer=none",
         "model.dim=24", "model.heads=6", "model.ffn.hidden=32", "mesh=tensor")  # fmt: skip


def on_eight_devices(script: str, *argv: str) -> str:
    """What a script of this folder prints, on 8 simulated devices; it must end well."""
    eight = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    flags = {"XLA_FLAGS": eight, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(HERE / script), *argv]
    done = subprocess.run(
        command, env=os.environ | flags, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def test_eight_devices_in_a_process_of_its_own():
    assert on_eight_devices("eight_devices.py") == "all equal"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "gpt2", "bart", "transfo_xl"])
def test_losses_of_100_steps_are_those_of_one_device(family):
    assert on_eight_devices("mesh_agreement.py", family, "100") == "all equal"


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["data", "fsdp", "unrolled", "tensor", "tensor_and_fsdp", "seq2seq"]
)
def test_a_step_has_the_collective_operations_that_its_mesh_needs(case):
    assert on_eight_devices("mesh_programs.py", case) == "as expected"


def test_a_batch_that_does_not_divide_names_the_nearest_sizes():
    mesh = jax.sharding.AbstractMesh((4, 2, 1), ("data", "fsdp", "tensor"))
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
    mesh = jax.sharding.AbstractMesh((1, 4, 1), ("data", "fsdp", "tensor"))
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


def specs(config, like, sizes):
    """The PartitionSpec of each array on an abstract mesh."""
    mesh = jax.sharding.AbstractMesh(sizes, ("data", "fsdp", "tensor"))
    return {path: tuple(one.spec) for path, one in named(config.shardings(like, mesh)).items()}


def test_matrices_are_split_by_columns_then_rows_beside_fsdp_and_rules_come_first():
    rules = OmegaConf.load("conf/mesh/tensor.yaml").tensor_rules
    kernel = jax.ShapeDtypeStruct((2, 8, 16), jnp.float32)
    attention = {"q": {"kernel": kernel}, "o": {"kernel": kernel, "bias": kernel}}
    like = {
        "token_embedding": {"embedding": jax.ShapeDtypeStruct((1001, 8), jnp.float32)},
        "stack": {"blocks": {"cross_attention": attention, "ffn": {"up": {"bias": kernel}}}},
    }
    of_blocks = "stack/blocks/cross_attention"
    found = specs(MeshConfig(tensor_rules=rules, min_size=1), like, (1, 2, 4))
    assert found == {
        "token_embedding/embedding": (None, "fsdp"),  # 4 does not divide 1001
        f"{of_blocks}/q/kernel": (None, "fsdp", "tensor"),
        f"{of_blocks}/o/kernel": (None, "tensor", "fsdp"),
        f"{of_blocks}/o/bias": (None, None, "fsdp"),
        "stack/blocks/ffn/up/bias": (None, "fsdp", "tensor"),
    }
    ruled = MeshConfig(tensor_rules=rules, rules=[("q/", None), ("o/kernel", {"tensor": 2})])
    found = specs(ruled, like, (1, 1, 4))
    assert found[f"{of_blocks}/q/kernel"] == ()
    assert found[f"{of_blocks}/o/kernel"] == (None, None, "tensor")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mesh.tensor=4",), r"4 does not divide the 6 heads .*mesh\.tensor=2, model\.heads=8"),
        (("mesh.tensor=3", "model.attention.kv_heads=2"), "2 key-value heads .*mesh=data"),
        (("mesh.tensor=2", "model.ffn.hidden=33"), r"33 columns .*model\.ffn\.hidden=34"),
    ],
)
def test_heads_and_widths_that_are_not_divisible_are_refused(words, said):
    experiment = open_experiment(composed([*SPLIT, *words]))
    config, params = build(experiment.cfg.mesh), shapes_of(experiment.objective)
    mesh = jax.sharding.AbstractMesh((1, 1, config.tensor), ("data", "fsdp", "tensor"))
    with pytest.raises(UserError, match=said):
        check_tensor(experiment.objective, params, config, mesh)
    kept = dataclasses.replace(config, rules=[("attention/|ffn/", None)])
    check_tensor(experiment.objective, params, kept, mesh)
    told = "does not divide the .* rows of model/token_embedding/embedding"
    assert re.search(told, notes(params, config, mesh)[0])
