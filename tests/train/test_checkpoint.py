"""Checkpoints: round trip, damage, what is kept, failures."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_training import same

from fxformer.train import checkpoint_files
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.checkpoint_files import CheckpointError, DamagedCheckpoint

STATE = {
    "params": {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(4, jnp.bfloat16)},
    "step": jnp.int32(7),
    "key": jnp.array([1, 2**32 - 1], jnp.uint32),
    "empty": (jnp.zeros((0, 3)), None),
}


def saved(folder, steps=(1, 2, 3), **knobs):
    checkpoints = Checkpoints(folder, **knobs)
    for step in steps:
        state = jax.tree.map(lambda x: x + jnp.asarray(step, x.dtype), STATE)  # noqa: B023
        checkpoints.save(step, state, {"totals": {"tokens": step}})
        assert checkpoints.wait()
    return checkpoints


def test_round_trip_is_exact(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    host = {"loss": 0.1 + 0.2, "nan": float("nan"), "id": None, "3": [1]}
    checkpoints.save(7, STATE, host)
    checkpoints.wait()
    found = Checkpoints(tmp_path).restore(jax.eval_shape(lambda: STATE))
    assert same(found.state, STATE)
    assert jax.tree.map(lambda x: x.dtype, found.state) == jax.tree.map(lambda x: x.dtype, STATE)
    assert (found.step, found.host["loss"], found.host["3"]) == (7, 0.1 + 0.2, [1])
    assert found.state["empty"][1] is None


def test_the_file_is_safetensors(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    saved(tmp_path, [7])
    read = numpy.load_file(tmp_path / "00000007" / "state.safetensors")
    np.testing.assert_array_equal(read["params/a"], np.arange(6.0).reshape(2, 3) + 7)


def test_nothing_to_restore_is_none(tmp_path):
    assert Checkpoints(tmp_path).restore(STATE) is None


@pytest.mark.parametrize("file", ["state.safetensors", "host.json"])
def test_every_flipped_bit_is_noticed(tmp_path, file):
    """All bytes of the small file, a random bit of each."""
    checkpoints = saved(tmp_path, [3])
    path, draw = tmp_path / "00000003" / file, np.random.default_rng(0)
    good, harmless = path.read_bytes(), 0
    for at in range(0, len(good), 1 if file == "host.json" else 3):
        bad = bytearray(good)
        bad[at] ^= 1 << draw.integers(8)
        path.write_bytes(bad)
        try:
            arrays, _ = checkpoints.read(3)
            harmless += 1  # white space for white space in JSON is no damage
            assert all(np.array_equal(arrays[n], v) for n, v in tensors_of(path, good).items())
        except DamagedCheckpoint:
            continue
    assert harmless <= 3


def tensors_of(path, good):
    path.write_bytes(good)
    manifest = json.loads((path.parent / "host.json").read_text())
    return checkpoint_files.read_tensors(path.parent / "state.safetensors", manifest["sums"])


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete", "folder"])
@pytest.mark.parametrize("file", ["state.safetensors", "host.json"])
def test_a_damaged_newest_is_put_aside_and_the_one_before_used(tmp_path, file, damage):
    checkpoints = saved(tmp_path)
    path = tmp_path / "00000003" / file
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    if damage == "folder":
        for each in path.parent.iterdir():
            each.unlink()
    elif damage == "delete":
        path.unlink()
    else:
        path.write_bytes({"flip": content, "truncate": content[:-7], "empty": b""}[damage])
    with pytest.warns(UserWarning, match="checkpoint 3 is damaged"):
        found = checkpoints.restore(STATE)
    assert (found.step, int(found.state["step"])) == (2, 9)
    assert checkpoints.steps() == [2]  # 1 was deleted when 3 came
    assert (tmp_path / ".bad" / "00000003").is_dir()
    checkpoints.save(3, STATE, {})
    assert checkpoints.wait()
    assert checkpoints.restore(STATE).step == 3


def test_latest_and_best_stay_whatever_the_metric(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_checkpoints=2)
    for step, metric in enumerate([3.0, 1.0, float("nan"), 2.0, float("inf"), 5.0, None], 1):
        checkpoints.save(step, STATE, {}, metric=metric)
    checkpoints.wait()
    assert checkpoints.steps() == [2, 6, 7]
    assert checkpoints.best() == 2
    with pytest.raises(ValueError, match="keep_checkpoints=1"):
        Checkpoints(tmp_path, keep_checkpoints=1)


def test_the_best_is_the_largest_where_higher_is_better(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_checkpoints=2)
    for step, metric in enumerate([0.3, 0.9, float("nan"), 0.9, -0.5, float("inf"), None], 1):
        checkpoints.save(step, STATE, {}, metric=metric, direction="maximize")
    checkpoints.wait()
    assert checkpoints.steps() == [2, 6, 7] and checkpoints.best() == 2
    assert Checkpoints(tmp_path).best() == 2  # the direction is stored


def test_another_structure_is_told_by_its_first_path(tmp_path):
    checkpoints = saved(tmp_path)
    with pytest.raises(CheckpointError, match="checkpoint lacks more"):
        checkpoints.restore(STATE | {"more": jnp.ones(1)})
    with pytest.raises(CheckpointError, match="only the checkpoint has key"):
        checkpoints.restore({name: value for name, value in STATE.items() if name != "key"})
    with pytest.raises(CheckpointError, match=r"step is int32\[\] .* and float32\[\] here"):
        checkpoints.restore(STATE | {"step": jnp.float32(0)})
    assert checkpoints.steps() == [2, 3]  # they are good, so they stay


def test_a_save_that_fails_warns_and_the_next_one_works(tmp_path, monkeypatch):
    checkpoints = saved(tmp_path, [1])
    monkeypatch.setattr(checkpoint_files, "write_tensors", fail)
    checkpoints.save(2, STATE, {})
    with pytest.warns(UserWarning, match="No space left"):
        assert not checkpoints.wait()
    assert (checkpoints.steps(), checkpoints.failures) == ([1], 1)
    assert [p.name for p in tmp_path.iterdir()] == ["00000001"]  # nothing half-made
    monkeypatch.undo()
    checkpoints.save(3, STATE, {})
    assert checkpoints.wait()
    assert (checkpoints.steps(), checkpoints.failures) == ([1, 3], 0)


def fail(path, arrays):
    path.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_a_full_disk_costs_older_checkpoints_before_the_new_one(tmp_path, monkeypatch):
    """All but the newest good one and the best are given up, then the save is made again."""
    checkpoints = Checkpoints(tmp_path, keep_checkpoints=4)
    for step, metric in enumerate([1.0, 0.5, 2.0, 3.0, 4.0], 1):
        checkpoints.save(step, STATE, {}, metric=metric)
        checkpoints.wait()
    (tmp_path / ".bad" / "00000000").mkdir(parents=True)
    raw = bytearray((tmp_path / "00000005" / "state.safetensors").read_bytes())
    raw[-3] ^= 1
    (tmp_path / "00000005" / "state.safetensors").write_bytes(raw)
    real = checkpoint_files.write_tensors

    def full(path, arrays):
        return fail(path, arrays) if (tmp_path / ".bad").exists() else real(path, arrays)

    monkeypatch.setattr(checkpoint_files, "write_tensors", full)
    checkpoints.save(6, STATE, {}, metric=5.0)
    assert checkpoints.wait() and checkpoints.failures == 0
    assert checkpoints.steps() == [2, 4, 6]  # the best, the newest good one, the new one


def test_a_full_disk_costs_milestones_last(tmp_path, monkeypatch):
    checkpoints, real = (
        saved(tmp_path, [1, 2, 3, 4], keep_checkpoints=3, milestones={1}),
        checkpoint_files.write_tensors,
    )
    assert checkpoints.steps() == [1, 2, 3, 4]
    monkeypatch.setattr(checkpoint_files, "write_tensors", lambda path, arrays: (
        fail(path, arrays) if (tmp_path / "00000002").exists() else real(path, arrays)
    ))  # fmt: skip
    checkpoints.save(5, STATE, {})
    assert checkpoints.wait() and checkpoints.steps() == [1, 4, 5]
    monkeypatch.setattr(checkpoint_files, "write_tensors", lambda path, arrays: (
        fail(path, arrays) if (tmp_path / "00000001").exists() else real(path, arrays)
    ))  # fmt: skip
    checkpoints.save(6, STATE, {})
    assert checkpoints.wait() and checkpoints.steps() == [5, 6]


def test_nothing_is_written_where_the_folder_is_another_process_by_now(tmp_path):
    def check_owner():
        raise SystemExit(75)

    checkpoints = saved(tmp_path, [1])
    checkpoints.check_owner = check_owner
    checkpoints.save(2, STATE, {})
    with pytest.warns(UserWarning, match="SystemExit"):
        assert not checkpoints.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["00000001"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    for name in (".00000009.making", ".trash/00000001"):
        (tmp_path / name).mkdir(parents=True)
    assert Checkpoints(tmp_path).restore(STATE) is None
    assert len(list(tmp_path.iterdir())) == 2  # a reader removes nothing
    saved(tmp_path, [5])
    assert [path.name for path in tmp_path.iterdir()] == ["00000005"]


def test_a_copy_outlives_donation(tmp_path):
    checkpoints = Checkpoints(tmp_path, copy_state=True)
    state = jax.tree.map(jnp.copy, STATE)
    checkpoints.save(1, state, {})
    jax.tree.map(lambda x: x.delete(), state)
    assert checkpoints.wait()
    assert same(checkpoints.restore(STATE).state, STATE)
