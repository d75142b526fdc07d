"""Every yaml of an objective composes, spells out every knob, builds, and keeps its checks."""

import importlib
import inspect

import pytest
from flax import nnx
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fxformer.config import folders, options
from fxformer.errors import UserError
from fxformer.evaluate.audit.check import judge
from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.noise.infill import TextInfilling

NAMES = folders.pretraining_objectives()
GIVEN = {"model", "vocabulary", "rngs", "self", "dim", "vocab", "width"}  # what the parent gives
PAIRS = ("seq2seq", "tokenlabel", "nsp", "sop")  # their rows hold two texts
# Presets that refer to a model's parts, or want more of one than a toy has.
REAL = {name: "electra" for name in NAMES if name.startswith("electra")}
REAL["prophetnet"] = "prophetnet"
BROUGHT = ("+tokenizer=unigram", "+data=stdlib_docs")  # what a preset may choose
TINY = ("model.dim=12", "model.heads=3", "model.ffn.hidden=12", "model.layers=1")


def composed(name, *overrides):
    more = TINY if name in REAL else ()
    model = [f"+model={REAL[name]}", "+size=tiny"] if name in REAL else []
    words = [*model, *BROUGHT, f"+objective={name}", *more, *overrides]
    return options.composed(None, words).objective


@pytest.fixture(scope="module")
def rows(pack):
    return pack([[(0, 60), (1, 60)], [(2, 100)]], 128)


def nodes(config):
    """Every node of a config that names a target."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield config
        for value in config.values():
            yield from nodes(value)
    elif isinstance(config, list):
        for value in config:
            yield from nodes(value)


def made(config, toy, vocabulary):
    partial = instantiate(config)
    model = toy(sorted(partial.func.legal)[0])
    if (whole := config._get_parent()) is not None and "model" in whole:
        model = instantiate(whole.model.network)
    return partial(model, vocabulary=vocabulary, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("name", NAMES)
def test_every_knob_is_spelled_out(name):
    for node in nodes(OmegaConf.to_container(composed(name))):
        module, _, attribute = node["_target_"].rpartition(".")
        target = getattr(importlib.import_module(module), attribute)
        knobs = set(inspect.signature(target.__init__).parameters) - GIVEN
        assert {key for key in node if not key.startswith("_")} == knobs


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (*PAIRS, "ctrl")])
@pytest.mark.sample(2)
def test_it_builds_and_corrupts(name, rows, toy, marked):
    objective = made(composed(name), toy, marked)
    batch = objective.corrupt(rows)
    assert batch.tokens.shape[0] == 2 and batch.weights.sum() > 0
    exact = [check for check in objective_checks(objective) if check.kind == "exact"]
    found = [judge(check, [(rows, batch)]) for check in exact]
    assert not [str(one) for one in found if one.draws and not one.holds]  # some see nothing here


@pytest.mark.parametrize("name", PAIRS)
def test_objectives_on_pairs_build(name, toy, vocabulary):
    assert made(composed(name), toy, vocabulary).row_length(8) == 8


def test_knobs_can_be_overridden_from_the_command_line(toy, vocabulary):
    config = composed("denoise", "objective.noises.1.rate=0.2", "objective.loss.smoothing=0.1")
    objective = made(config, toy, vocabulary)
    assert objective.noises[1] == TextInfilling(rate=0.2)
    assert objective.loss.smoothing == 0.1
    config = composed("mlm", "objective/masking=iid", "objective.masking.rate=0.4")
    assert made(config, toy, vocabulary).masking.rate == 0.4


def test_two_builds_of_one_config_are_one_jit_key(toy, vocabulary):
    first, second = (nnx.split(made(composed("denoise_all"), toy, vocabulary))[0] for _ in "ab")
    assert first == second and hash(first) == hash(second)


@pytest.mark.parametrize(
    ("name", "option", "wanted"),
    [
        ("mlm", "random_spans", "exact, iid, words"),
        ("t5", "words", "random_spans or random_tokens"),
    ],
)
def test_a_masking_of_the_other_kind_is_refused(name, option, wanted, toy, marked):
    with pytest.raises(UserError, match=f"write objective/masking={wanted}"):
        made(composed(name, f"objective/masking={option}"), toy, marked)
