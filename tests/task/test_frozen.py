"""task.frozen: the body is computed once, and the head is trained as with adapter=head_only."""

import dataclasses
import os

import jax
import numpy as np
import pytest

import fxformer
from fxformer.energy import ledger
from fxformer.errors import UserError
from fxformer.rules import named
from fxformer.task.frozen import FrozenSplit
from fxformer.track.run_reader import StoredRun
from fxformer.train import frozen_body
from fxformer.train.main import main
from tests.composing import composed
from tests.first_state import compiled_step, first_state
from tests.task.rows import TINY, rows_of, setup_of, write

STEPS = 4
PACKED = "data/packing=segments"


def trained(setup, runs):
    """The parameters after some steps, and the losses."""
    state, losses = first_state(setup), []
    if isinstance(setup.data.packed["train"], FrozenSplit):
        frozen_body.fill(setup, state.params, str(runs))
    batches = setup.data.train(setup.corpus.batch, setup.cfg.seed)
    step = compiled_step(setup)
    for number in range(STEPS):
        state, sums = step(state, setup.put(setup.objective.corrupt(batches[number])))
        losses.append(float(sums["loss"][0] / sums["loss"][1]))
    outputs, evaluate = [], jax.jit(setup.evaluate)
    for n in range(len(valid := setup.data.valid(setup.corpus.batch))):
        batch = setup.objective.corrupt(valid[n])
        given = np.asarray(evaluate(state.params, setup.put(batch))[1])
        real = batch.segments > 0 if setup.objective.head.pooling is None else batch.weights > 0
        outputs.append(given[real])  # of padding they mean nothing
    return named(state.params), losses, outputs


@pytest.mark.parametrize(
    "task, model, more",
    [
        ("classification", "bert", [PACKED, "data.length=24"]),
        ("multi_label", "gpt2", []),
        ("regression", "bart", []),
        ("token_classification", "bert", [PACKED, "data.length=24"]),
        ("question_answering", "bert", []),
    ],
)
@pytest.mark.sample(3)
def test_the_head_is_trained_as_with_head_only(tmp_path, task, model, more):
    more = [*more, "optimizer.lr=1e-2"]
    given = [setup_of(tmp_path, task, *more, one, model=model)
             for one in ("adapter=head_only", "task.frozen=true")]  # fmt: skip
    assert given[1].trained_parameters == given[0].trained_parameters
    one, frozen = (trained(setup, tmp_path / "runs") for setup in given)
    np.testing.assert_allclose(frozen[1], one[1], atol=2e-6)
    for path, array in one[0].items():
        np.testing.assert_allclose(frozen[0][path], array, atol=1e-5, err_msg=path)
    for a, b in zip(one[2], frozen[2], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert given[1].flops_per_token < given[0].flops_per_token


@pytest.mark.slow
def test_dropout_of_the_head_is_that_of_head_only(tmp_path):
    words = ["model.task_head.classification.dropout=0.3"]
    given = [setup_of(tmp_path, "classification", *words, one)
             for one in ("adapter=head_only", "task.frozen=true")]  # fmt: skip
    one, frozen = (trained(setup, tmp_path / "runs") for setup in given)
    np.testing.assert_allclose(frozen[1], one[1], atol=2e-6)


def test_the_vectors_are_kept_and_made_again_where_they_are_damaged_or_others(tmp_path):
    setup = setup_of(tmp_path, "classification", "task.frozen=true")
    params = first_state(setup).params
    runs = str(tmp_path / "runs")
    first = frozen_body.fill(setup, params, runs)
    kept = np.array(setup.data.packed["train"].vectors["vectors"])
    assert not first["cached"] and frozen_body.fill(setup, params, runs)["cached"]
    file = tmp_path / "runs/.features" / first["folder"] / "train.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert not frozen_body.fill(setup, params, runs)["cached"]
    np.testing.assert_array_equal(setup.data.packed["train"].vectors["vectors"], kept)
    other = first_state(setup, 1).params  # other weights
    assert frozen_body.fill(setup, other, runs)["folder"] != first["folder"]
    changed = dataclasses.replace(setup, data=dataclasses.replace(setup.data, facts={
        **setup.data.facts, "corpus_hash": "other"}))  # fmt: skip
    assert frozen_body.key_of(changed, params) != first["folder"]
    one = setup.data.packed["valid"].features[0].tokens
    one[1] += 1  # as another data.length or stride would
    assert frozen_body.key_of(setup, params) != first["folder"]


def test_the_oldest_vectors_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(frozen_body, "CACHE_BYTES", 25)
    for n, name in enumerate("abc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.npy").write_bytes(b"0" * 10)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (n, n))
    frozen_body.delete_oldest(tmp_path / "c")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b", "c"]


def test_what_cannot_be_frozen_is_refused(tmp_path):
    with pytest.raises(UserError, match="trains the head alone"):
        setup_of(tmp_path, "classification", "task.frozen=true", "adapter=lora")


def test_a_run_counts_the_energy_of_its_features_and_opens_as_any_other(tmp_path):
    words = [
        "model=bert", "task=classification", "task.frozen=true", *TINY, "trainer.steps=4",
        "trainer.compile_cache=null", "energy=tdp", f"runs={tmp_path / 'runs'}",
        f"data.files={write(tmp_path / 'train.jsonl', rows_of('classification'))}",
        f"data.cache_dir={tmp_path / 'cache'}",
    ]  # fmt: skip
    main(composed(words))
    (folder,) = [one for one in (tmp_path / "runs").iterdir() if (one / "run.json").is_file()]
    totals = ledger.totals(folder / "energy.jsonl")
    assert totals.by("phase")["features"].joules > 0
    stored = StoredRun(folder)
    assert stored.config["adapter"]["train"] and stored.config["task"]["frozen"]
    classify = fxformer.pipeline("text-classification", str(folder))
    rows = rows_of("classification", 4, seed=1)
    assert {one["label"] for one in classify([row["text"] for row in rows], top_k=1)[0]} <= {
        "few", "many",
    }  # fmt: skip
