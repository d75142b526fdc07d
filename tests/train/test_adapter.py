"""LoRA: begins as the base, trains only its own matrices, and is merged where a run is opened."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.cli import app
from fxformer.errors import UserError
from fxformer.flops.jaxpr_flops import executed_flops
from fxformer.hf.run_weights import model_weights, newest
from fxformer.inference.load import load
from fxformer.rules import ADAPTER, RuleError, named
from fxformer.track.run_reader import StoredRun
from fxformer.train.adapter import Adapter, LoRA, without_adapter
from tests.first_state import compiled_step, first_state
from tests.task.rows import rows_of, setup_of, write

LORA = ("adapter=lora", "adapter.rank=2", "model.layers=2")


def tree():
    draw = np.random.default_rng(0)
    stacked = {"kernel": draw.normal(size=(3, 6, 4)), "bias": draw.normal(size=(3, 4))}
    params = {
        "model": {
            "stack": {"blocks": {"q": stacked}},
            "head": {"kernel": draw.normal(size=(4, 5))},
            "task_heads": {"span": {"kernel": draw.normal(size=(4, 2))}},
        }
    }
    return jax.tree.map(jnp.float32, params)


def trained(adapter, params):
    """`params` with an adapter whose B is no longer 0."""
    added = adapter.added(params, jax.random.key(0))
    moved = jax.tree.map(lambda leaf: leaf + 0.1, added[ADAPTER])
    return {**added, ADAPTER: moved}


def test_each_layer_has_its_own_change():
    adapter, params = LoRA(rank=2, alpha=6.0, matrices=["q/kernel"]), tree()
    added = adapter.added(params, jax.random.key(0))
    change = added[ADAPTER]["model"]["stack"]["blocks"]["q"]["kernel"]
    assert change["a"].shape == (3, 6, 2) and change["b"].shape == (3, 2, 4)
    assert np.abs(change["a"]).max() <= 6**-0.5 and np.std(change["a"]) > 0.1
    jax.tree.map(np.testing.assert_array_equal, adapter.merged(added), params)  # B is 0
    moved = trained(adapter, params)
    a, b = moved[ADAPTER]["model"]["stack"]["blocks"]["q"]["kernel"].values()
    kernel = named(adapter.merged(moved))["model/stack/blocks/q/kernel"]
    for layer in range(3):
        expected = named(params)["model/stack/blocks/q/kernel"][layer] + 3 * a[layer] @ b[layer]
        np.testing.assert_allclose(kernel[layer], expected, atol=1e-6)


def test_dropout_drops_inputs_of_the_change_with_a_key_only():
    params, key = tree(), jax.random.key(3)
    adapter, path = LoRA(rank=2, dropout=0.5, matrices=["q/kernel"]), "model/stack/blocks/q/kernel"
    moved = trained(adapter, params)
    whole, base = named(adapter.merged(moved))[path], named(params)[path]
    some = named(adapter.merged(moved, key))[path]
    factors = (some - base) / (whole - base)  # [3, 6, 4]: of a row 0 or 1 / (1 - dropout)
    np.testing.assert_allclose(factors, factors[..., :1] * np.ones(4), atol=1e-3)
    assert set(np.round(factors).flatten().tolist()) == {0.0, 2.0}


def test_all_is_frozen_but_the_change_and_the_task_heads():
    for train, others in ((None, {"model/task_heads/span/kernel"}), (["bias"], {"blocks/q/bias"})):
        adapter = LoRA(rank=2, matrices=["head/kernel"], train=train)
        found = named(adapter.frozen(adapter.added(tree(), jax.random.key(0))))
        free = {path for path, stop in found.items() if not stop}
        assert {path for path in free if path.startswith(ADAPTER)} == {
            f"{ADAPTER}/model/head/kernel/{name}" for name in "ab"
        }
        rest = {path for path in free if not path.startswith(ADAPTER)}
        assert len(rest) == len(others) and all(any(o in p for p in rest) for o in others)
    assert not any(jax.tree.leaves(Adapter().frozen(tree())))


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"matrices": ["q/bias"]}, "q/bias is no matrix"),
        ({"matrices": ["q/kernel"], "rank": 4}, "6 x 4; write a rank below 4"),
        ({"matrices": ["kernl"]}, "adapter.matrices.*nearest path"),
        ({"matrices": []}, "adapter.matrices is empty"),
    ],
)
def test_bad_matrices_are_refused(knobs, said):
    with pytest.raises((UserError, RuleError), match=said):
        LoRA(**knobs).added(tree(), jax.random.key(0))


def test_training_changes_the_adapter_and_the_head_only(tmp_path):
    (tmp_path / "base").mkdir()
    base = setup_of(tmp_path / "base", "classification", "model.layers=2")
    setup = setup_of(tmp_path, "classification", *LORA, "adapter.alpha=64", "optimizer.lr=0.1")
    batch = setup.put(setup.example_batch)
    state = first = first_state(setup)
    evaluate = jax.jit(base.evaluate)
    np.testing.assert_array_equal(
        jax.jit(setup.evaluate)(state.params, batch)[1],
        evaluate(without_adapter(state.params), batch)[1],
    )  # as the base, bit for bit
    step = compiled_step(setup)
    for _ in range(3):
        state, _ = step(state, batch)
    for path, leaf in named(state.params).items():
        moves = path.startswith((ADAPTER, "model/task_heads/"))
        assert np.array_equal(leaf, named(first.params)[path]) != moves, path
    states = [path for path in named(state.opt) if "/model/" in path and "/mu/" in path]
    assert states and all(ADAPTER in path or "task_heads" in path for path in states)
    unmerged = jax.jit(setup.evaluate)(state.params, batch)[1]
    merged = evaluate(setup.adapter.merged(state.params), batch)[1]
    np.testing.assert_allclose(unmerged, merged, atol=1e-5)
    assert np.abs(merged - evaluate(without_adapter(state.params), batch)[1]).max() > 1e-3
    heads = 16 * 16 + 16 + 16 * 2 + 2
    assert setup.trained_parameters == 2 * 2 * (2 * 16 * 2) + heads
    assert setup.parameters == base.parameters == base.trained_parameters


@pytest.mark.parametrize(
    ("adapter", "trained"), [("head_only", "task_heads/"), ("bias_only", "bias|task_heads/")]
)
def test_presets_train_biases_or_the_head(tmp_path, adapter, trained):
    setup = setup_of(tmp_path, "classification", f"adapter={adapter}")
    found = named(setup.frozen)
    assert {path for path, stop in found.items() if not stop} == {
        path for path in found if re.search(trained, path)
    }
    assert 0 < setup.trained_parameters < setup.parameters / 3
    if adapter == "head_only":  # no backward pass below the head
        forward = executed_flops(setup.evaluate, setup.abstract_state.params, setup.example_batch)
        step = executed_flops(setup.step, setup.abstract_state, setup.example_batch)
        assert step < 1.2 * forward
    moments = [p for p in named(setup.abstract_state.opt) if "/mu/" in p]
    assert moments and all(re.search(trained, path) for path in moments)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", ["adapter=head_only", "adapter=lora", "optimizer.freeze=[blocks]"]
)
def test_a_frozen_body_keeps_the_weights_of_the_warm_start(tmp_path, recipe):
    """From a text model to a labelled task: frozen parameters equal their source bit for bit."""
    rows = write(tmp_path / "rows.jsonl", rows_of("classification"))
    common = [f"data.files={rows}", f"data.cache_dir={tmp_path}", "data.batch=4", "data.length=32",
              f"runs={tmp_path / 'runs'}", "energy=tdp", "trainer.compile_cache=null",
              "optimizer.lr=0.01"]  # fmt: skip
    text = ["model=bert", "objective=mlm", "data=jsonl", "tokenizer=char", "size=tiny",
            "model.dim=16", "model.heads=2", "trainer.steps=2", "name=text"]  # fmt: skip
    assert app.train([*common, *text]) == 0
    (source,) = (tmp_path / "runs").glob("*text*")
    words = [f"warm_start.from={source}", "task=classification", "trainer.epochs=1", "name=tuned"]
    assert app.train([*common, *words, recipe]) == 0
    (tuned,) = (tmp_path / "runs").glob("*tuned*")
    before, after = newest(StoredRun(source)), newest(StoredRun(tuned))
    frozen = "blocks" if "freeze" in recipe else "transformer|token_embedding"
    same = {p for p in after if re.match("params/model", p) and re.search(frozen, p)}
    assert same and all(np.array_equal(before[path], after[path]) for path in same)
    steps = [line["step"] for line in StoredRun(tuned).lines]
    assert max(steps) == StoredRun(tuned).config["trainer"]["steps"] < 20


@pytest.mark.slow
def test_a_run_is_opened_and_exported_with_merged_weights(tmp_path):
    words = ["model=gpt2", "objective=clm", "size=tiny", "data=markov", "tokenizer=none",
             "data.symbols=8", "data.examples=64", "data.length=16", "data.batch=8", "energy=tdp",
             "trainer.steps=4", "trainer.compile_cache=null", "adapter=lora", "optimizer.lr=0.1",
             f"runs={tmp_path}", "name=lora"]  # fmt: skip
    assert app.train(words) == 0
    (folder,) = tmp_path.glob("*lora*")
    run = StoredRun(folder)
    raw, merged = newest(run), model_weights(run)
    path = "transformer/stack/blocks/attention/q/kernel"
    a, b = (raw[f"params/{ADAPTER}/model/{path}/{name}"] for name in "ab")
    assert np.abs(b).max() > 0
    np.testing.assert_allclose(merged[path], raw[f"params/model/{path}"] + 2 * a @ b, atol=1e-5)
    opened = named(load(str(folder)).params)
    assert opened.keys() == merged.keys()
    np.testing.assert_allclose(opened[path], merged[path], atol=1e-6)
    facts = run.facts
    assert facts["trained_parameters"] < facts["parameters"] // 10
