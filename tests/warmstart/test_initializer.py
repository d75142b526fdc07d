"""Warm start from an imported model: weights, config, overrides of the command line."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf

from fxformer.cli import app
from fxformer.config.build import build
from fxformer.config.options import composed, plain
from fxformer.config.target import ConfigError
from fxformer.hf.canonical_config import canonicalize, differences
from fxformer.hf.config_map import ConfigMismatch
from fxformer.hf.convert import WeightMismatch
from fxformer.hf.export_model import export_model
from fxformer.hf.import_model import import_model
from fxformer.hf.published_model import parameter_shapes
from fxformer.hf.run_weights import model_weights
from fxformer.rules import named, nested
from fxformer.track.run_reader import StoredRun
from fxformer.warmstart.config_references import referenced
from fxformer.warmstart.initializer import WarmStart
from fxformer.warmstart.reinit import check_top
from fxformer.warmstart.resolve import resolve_warm_start
from tests.hf.fixture import HERE, published

QUIET = (
    "data=markov",
    "tokenizer=none",
    "data.symbols=18",
    "data.length=6",
    "data.batch=16",
    "data.examples=256",
    "data.valid_examples=16",
    "energy=tdp",
    "energy.region=null",
    "tracker=local",
    "trainer.compile_cache=null",
)


def train(folder, runs, *words):
    """Train from a published model or a run; return the new run."""
    before = set(runs.glob("*"))
    argv = [f"warm_start.from={folder}", f"runs={runs}", *QUIET, *words]
    assert app.train(argv) == 0
    (made,) = set(runs.glob("*")) - before
    return StoredRun(made)


@pytest.mark.slow
def test_a_run_starts_from_the_weights_of_another(tmp_path):
    first = import_model(HERE / "bert", runs=str(tmp_path)).folder
    words = ("objective=mlm", "trainer.steps=1", "optimizer.lr=1e-30", "optimizer.weight_decay=0")
    run = train(first, tmp_path, *words)
    before, after = model_weights(StoredRun(first)), model_weights(run)
    assert before.keys() == after.keys()
    for path in before:
        assert np.allclose(before[path], after[path], atol=1e-6), path
    export_model(run, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == [
        "BertForPreTraining"
    ]


def test_overrides_change_the_model_taken_over():
    words = [
        f"warm_start.from={HERE / 'bert'}",
        "model.dropout=0.3",
        "model/task_head=token_classification",
    ]
    cfg = resolve_warm_start(composed("train", words), words)
    made = plain(cfg)["model"]
    assert made["network"]["transformer"]["dropout"] == 0.3
    assert made["network"]["transformer"]["attention"]["dropout"] == 0.1  # its own, as published
    assert list(made["network"]["task_heads"]) == ["token_classification"]
    assert made["network"]["transformer"]["layers"] == 2


@pytest.mark.parametrize(("family", "start"), [("t5", "pad"), ("bart", "eos")])
def test_the_decoder_starts_with_the_token_of_its_source(family, start):
    words = ["task=seq2seq", f"warm_start.from={HERE / family}"]
    assert resolve_warm_start(composed("train", words), words).objective.start == start
    words += ["objective.start=bos"]
    assert resolve_warm_start(composed("train", words), words).objective.start == "bos"


def test_references_of_a_resolved_model_are_restored():
    for model in ("bert", "gpt2", "t5", "bart"):
        words = [f"+model={model}", "+size=tiny", "model.norm.eps=1e-3"]
        node = plain(composed(None, words).model)
        cfg = OmegaConf.create({"model": referenced(node)})
        assert not differences(canonicalize(plain(cfg)["model"]), canonicalize(node))
        cfg.model.norm.eps = 0.5
        cfg.model.ffn.hidden = 7
        network = plain(cfg)["model"]["network"]
        stack = network["transformer"] if "transformer" in network else network["decoder"]
        assert stack["norm"]["eps"] == 0.5 and stack["ffn"]["hidden"] == 7


def test_references_of_the_heads_of_a_resolved_model_are_restored():
    node = plain(composed(None, ["+model=modernbert", "model/task_head=classification"]).model)
    cfg = OmegaConf.create({"model": referenced(node)})
    cfg.model.sequence_head.pooling, cfg.model.norm.eps = "mean", 0.5
    head = plain(cfg)["model"]["network"]["task_heads"]["classification"]
    assert (head["pooling"], head["norm"]["eps"], head["dropout"]) == ("mean", 0.5, 0.0)


def test_heads_may_be_fresh_and_the_body_may_not():
    one = published(HERE / "bert")
    network = build(one.compose(["model/head=none", "model/task_head=span"]).model.network)
    shapes = parameter_shapes(network, one.vocab)
    arrays, lines = WarmStart(from_=str(HERE / "bert")).weights(shapes, runs="runs")
    fresh = {line.path for line in lines if line.status == "fresh"}
    assert fresh == {"task_heads/span/output/kernel", "task_heads/span/output/bias"}
    assert fresh | set(arrays) == set(shapes)
    deeper = build(one.compose(["model.layers=3"]).model.network)
    with pytest.raises(WeightMismatch, match="layer.2"):
        WarmStart(from_=str(HERE / "bert")).weights(
            parameter_shapes(deeper, one.vocab), runs="runs"
        )


def test_top_layers_are_drawn_anew_and_reported():
    one = published(HERE / "bert")
    shapes = parameter_shapes(build(one.compose().model.network), one.vocab)
    drawn = nested({f"model/{path}": jnp.full(shape, 7.0) for path, shape in shapes.items()})
    params, lines = WarmStart(from_=str(HERE / "bert"), reinit_layers=1).apply(drawn, runs="runs")
    loaded, _ = WarmStart(from_=str(HERE / "bert")).apply(drawn, runs="runs")
    anew = {line.path for line in lines if line.status == "reinitialised"}
    frozen = {f"model/{path}": "kernel" in path for path in shapes}
    stuck = WarmStart(from_="bert").frozen_at_random(lines, frozen)
    assert stuck == sorted(path for path in anew if "kernel" in path)
    for path, leaf in named(params["model"]).items():
        whole = named(loaded["model"])[path]
        assert ("/blocks/" in path) == (path in anew)
        if path in anew:
            assert np.array_equal(leaf[0], whole[0]) and np.all(leaf[1] == 7) and len(leaf) == 2
        else:
            assert np.array_equal(leaf, whole)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reinit_layers=2"], "encoder has 2 layers; write a number from 0 to 1"),
        (["reinit_layers={decoder: 1}"], "no such stack; it has encoder"),
    ],
)
def test_more_layers_than_there_are_cannot_be_drawn_anew(words, said):
    words = [f"warm_start.from={HERE / 'bert'}", *(f"warm_start.{word}" for word in words)]
    with pytest.raises(ConfigError, match=said):
        resolve_warm_start(composed("train", words), words)


def test_layers_that_share_parameters_cannot_be_drawn_anew():
    model = plain(composed("train", ["model=albert", "model.layers=4"]))["model"]
    with pytest.raises(ConfigError, match="share their parameters"):
        check_top(model, 1)
    check_top(model, 0)


def test_an_import_has_no_adapter(tmp_path):
    with pytest.raises(ConfigMismatch, match="an import trains nothing"):
        import_model(HERE / "bert", runs=str(tmp_path), overrides=["adapter=lora"])
    assert not list(tmp_path.iterdir())
