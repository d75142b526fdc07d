"""Whatever was imported learns on: twenty steps from its weights, and the loss falls.

A fixture without a head over words gets a new one.
"""

import jax
import numpy as np
import pytest
from omegaconf import DictConfig

from fxformer.config.build import build
from fxformer.config.check import check
from fxformer.config.options import plain
from fxformer.hf.detect_family import detect_family
from fxformer.model.language_model import LanguageModel
from fxformer.train.compile import compile_step
from fxformer.train.setup import set_up
from fxformer.warmstart.resolve import resolve_warm_start
from tests.hf.fixture import others, own, published
from tests.physics.training import composed

STEPS, QUICK = 20, ("bert",)
NEW = {"mlm": "mlm", "clm": "tied", "denoise": "tied"}  # objective: a head for it
QUIET = (
    "data=markov",
    "tokenizer=none",
    "data.length=6",
    "data.batch=16",
    "data.examples=256",
    "data.valid_examples=16",
    "data.workers=1",
    "energy=tdp",
    "energy.region=null",
    "model.dropout=0",
    f"trainer.steps={STEPS}",
    "optimizer.lr=1e-2",
)


def cases() -> list:
    """All fixtures there are, those of others too; one of them runs by default."""
    quick = [f for f in own() if f.name in QUICK]
    rest = [f for f in own() if f not in quick]
    return [
        *(pytest.param(f, id=f.name) for f in quick),
        *(pytest.param(f, id=f.name, marks=pytest.mark.slow) for f in rest),
        *(pytest.param(f, id=f"third-{f.name}", marks=pytest.mark.slow) for f in others()),
    ]


def config(folder) -> DictConfig:
    """That of a training from a fixture."""
    one = published(folder)
    network = one.compose().model.network
    kind = "denoise"
    if network._target_.endswith(LanguageModel.__name__):
        kind = "clm" if network.transformer.causal else "mlm"
    new = "adaptive" if one.family.model == "transfo_xl" else NEW[kind]
    head = () if one.variant.has_lm_head else (f"model/head={new}", "model/task_head=none")
    words = [
        f"warm_start.from={folder}",
        f"objective={kind}",
        f"data.symbols={one.vocab - 5}",
        *head,
        *QUIET,
    ]
    cfg = resolve_warm_start(composed(*words), words)
    check(cfg)
    return cfg


@pytest.mark.parametrize("folder", cases())
def test_an_import_learns(folder):
    cfg, one = config(folder), published(folder)
    setup = set_up(cfg)
    placement = jax.tree.map(lambda leaf: leaf.sharding, setup.abstract_state)
    state = jax.jit(setup.init_state, out_shardings=placement)(jax.random.key(0))
    params, lines = build(cfg.warm_start).apply(state.params, runs="runs")
    fresh = [line.path for line in lines if line.status == "fresh"]
    assert all(path.startswith("head/") for path in fresh)
    assert not (fresh and one.variant.has_lm_head)
    step = compile_step(setup.step, placement, setup.mesh, donate=False)
    state, losses = state.replace(params=params), []
    batches = setup.data.train(setup.corpus.batch, 0)
    for n in range(STEPS):
        state, sums = step(state, setup.put(setup.objective.corrupt(batches[n])))
        total, weight = sums["loss"]
        losses.append(float(total / weight))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.05
    if one.variant.has_lm_head:
        detect_family(
            plain(cfg.model), model_type=one.config["model_type"]
        )  # and it can still be exported
