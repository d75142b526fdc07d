"""What was imported learns on: twenty steps from its weights, and the loss falls."""

import json

import jax
import pytest

from fxformer.bridge.adopt import adopted
from fxformer.bridge.importing import import_model
from fxformer.config.build import build
from fxformer.config.check import check
from fxformer.train.setup import set_up
from tests.bridge.fixture import HERE, own
from tests.physics.training import composed, train

KINDS = ("CausalLM", "LMHeadModel")  # the classes of decoders that answer with words


def decoders():
    """The first fixture of each model_type whose class is a decoder with words."""
    stated = {f: json.loads((f / "config.json").read_text()) for f in reversed(own())}
    found = {c["model_type"]: f for f, c in stated.items() if c["architectures"][0].endswith(KINDS)}
    return [pytest.param(folder, id=name) for name, folder in sorted(found.items())]


@pytest.mark.slow
@pytest.mark.parametrize("folder", decoders())
def test_an_imported_decoder_learns(folder, tmp_path):
    before, after = before_and_after(folder, tmp_path, "objective=clm", "data.symbols=18")
    assert after < 0.97 * before


@pytest.mark.slow
def test_an_imported_prophetnet_learns(tmp_path):
    own = ("objective=prophetnet", "objective.weights=[1,1,1]", "data.symbols=18")
    before, after = before_and_after(HERE / "prophetnet", tmp_path, *own)
    assert after < 0.97 * before


def before_and_after(folder, tmp_path, *own):
    """The validation loss of the imported model, and after twenty steps."""
    run = import_model(folder, runs=str(tmp_path))
    words = [
        *(f"init.from={run.folder}", "data=markov", "tokenizer=none"),
        *("data.length=8", "data.batch=16", "data.valid_examples=32", "data.workers=1"),
        *("trainer.steps=20", "optimizer.lr=0.003", "energy=model", *own),
    ]
    cfg = adopted(composed(*words), words)
    check(cfg)
    setup = set_up(cfg)
    state = jax.jit(setup.start)(jax.random.key(0))
    params, lines = build(cfg.init).apply(state.params, runs=str(tmp_path))
    assert not [line.path for line in lines if line.what == "fresh"]
    batch = setup.put(setup.objective.corrupt(setup.data.valid(setup.corpus.batch)[0]))
    total, weight = jax.jit(setup.evaluate)(params, batch)["loss"]
    return float(total / weight), train(setup, state.replace(params=params)).valid["loss"]
