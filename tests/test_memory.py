"""Memory is compared with what is asked for before any of it is taken."""

import dataclasses
import os

import jax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fxformer import memory
from fxformer.config.bounds import WHOLE, excess
from fxformer.files import no_file
from fxformer.train.config import TrainerConfig
from fxformer.train.memory_check import bytes_per_device, check_memory
from fxformer.train.state import State


def test_more_than_there_is_is_refused_with_both_sizes(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: 3 * 10**9)
    memory.require(3 * 10**9, "data.x", "a table")
    with pytest.raises(ValueError, match="data.x: a table needs at least 4.5 TB .* 3 GB are free"):
        memory.require(4_500 * 10**9, "data.x", "a table")
    monkeypatch.setattr(memory, "free", lambda: None)  # a system that does not say
    memory.require(10**30, "data.x", "a table")


def test_a_control_group_limits_what_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    plain = memory.free()
    assert plain is not None and plain > 5000
    (tmp_path / "memory.max").write_text("9000\n")
    (tmp_path / "memory.current").write_text("4000\n")
    assert memory.free() == 5000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free() > 5000


@dataclasses.dataclass
class Planned:
    """What `check_memory` reads of a Setup."""

    abstract_state: State
    mesh: Mesh
    trainer: TrainerConfig
    frozen: dict
    parameters: int = 7


def test_a_state_that_does_not_fit_is_refused(monkeypatch):
    mesh = Mesh(jax.devices()[:1], "data")
    whole = NamedSharding(mesh, PartitionSpec())
    leaf = jax.ShapeDtypeStruct((10, 100), "float32", sharding=whole)
    like = State(step=None, params={"w": leaf}, opt=(leaf, leaf), ema=None, key=None,
                 skipped=None, streak=None)  # fmt: skip
    assert bytes_per_device(like) == 12_000
    needed = 12_000 + 4_000  # the state, given up to the new one, and the gradient
    setup = Planned(like, mesh, TrainerConfig(donate=True), {"w": False})
    monkeypatch.setattr(memory, "free", lambda: needed)
    check_memory(setup)
    monkeypatch.setattr(memory, "free", lambda: needed - 1)
    with pytest.raises(ValueError, match="7 parameters .* 16 kB .* model.layers"):
        check_memory(setup)
    check_memory(dataclasses.replace(setup, frozen={"w": True}))  # which has no gradient


@pytest.mark.parametrize(
    "key,value,fits",
    [
        ("model.layers", 10_000, True),
        ("model.layers", 10_001, False),
        ("model.encoder.windows[3]", 2**24 + 1, False),
        ("trainer.steps", WHOLE, True),
        ("trainer.steps", -WHOLE - 2, False),
        ("optimizer.eps", 1e-39, False),
        ("optimizer.eps", 1e-30, True),
        ("optimizer.weight_decay", 0.0, True),
        ("model.remat", True, True),
        ("seed", 10**500, False),  # no float either
    ],
)
def test_numbers_have_bounds(key, value, fits):
    assert (excess(key, value) is None) == fits


def test_devices_and_pipes_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in no_file(tmp_path / "pipe") and "device" in no_file("/dev/zero")
    assert no_file(tmp_path) is None and no_file(tmp_path / "nothing") is None
