"""Each preset runs with each family that fits it, with nothing else on the command line."""

import functools

import pytest
from omegaconf import open_dict

from fxformer.config import folders
from fxformer.config.check import problems
from fxformer.config.compatibility import architecture
from fxformer.config.target import locate
from fxformer.errors import UserError
from fxformer.train.setup import set_up
from tests import composing

MODELS = sorted(p.stem for p in (folders.conf_folder() / "model").glob("*.yaml"))
PRESETS = folders.pretraining_objectives()
DECODERS = (
    *("bloom", "ctrl", "decoder", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "openai_gpt"),
    *("qwen2", "qwen3", "transfo_xl"),
)
GENERATORS = (
    *("albert", "bert", "distilbert", "electra", "encoder", "longformer", "modernbert"),
    *("roberta", "t5_encoder"),
)
# Families with what a preset needs beside an architecture: token types, predicting streams, a
# decoder for the parts of the mixture, embeddings that a narrower generator can share.
NEEDS = {
    "mixture": DECODERS,
    **dict.fromkeys(("electra", "electra_base", "electra_large"), GENERATORS),
    "nsp": ("albert", "bert", "electra"),
    "sop": ("albert", "bert", "electra"),
    "prophetnet": ("prophetnet",),
}
# Presets that choose data, packing or sentinels, each with one family: the quick sample.
QUICK = {"nsp": "bert", "ctrl": "ctrl", "fim": "gpt2", "t5": "t5", "ul2": "t5", "seq2seq": "bart"}


@functools.cache
def composed(*words):
    cfg = composing.composed(words)
    with open_dict(cfg):
        cfg.pop("search", None)
    return cfg


@pytest.mark.parametrize("preset", QUICK)
def test_the_gate_passes_what_the_preset_chooses(preset):
    cfg = composed(f"model={QUICK[preset]}", f"objective={preset}")
    assert problems(cfg, folders.top_keys()) == []


def test_a_preset_chooses_only_what_is_left_open():
    cfg = composed("model=bert", "objective=nsp", "data/packing=segments")
    (said,) = problems(cfg, folders.top_keys())
    assert "write data/packing=sentence_pairs" in said
    words = ("model=t5", "objective=t5", "tokenizer.specials.sentinels=40")
    assert composed(*words).tokenizer.specials.sentinels == 40
    assert composed("model=t5", "objective=t5").tokenizer.specials.sentinels == 100
    assert composed("model=bart", "objective=denoise").tokenizer.specials.sentinels == 0
    words = ("model=bart", "objective=seq2seq", "data=reverse")
    assert composed(*words).data._target_.endswith("Reverse")
    assert composed(*words).tokenizer._target_.endswith("NoTokenizer")


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_set_up_with_every_family_that_fits(preset):
    refused = {}
    for family in MODELS:
        cfg = composed(f"model={family}", f"objective={preset}")
        if architecture(cfg) not in locate(cfg.objective._target_).legal:
            continue
        if said := problems(cfg, folders.top_keys()):
            refused[family] = said
            continue
        try:
            assert set_up(cfg).example_batch.weights.sum() > 0
        except UserError as error:
            refused[family] = [str(error)]
    fitting = set(NEEDS.get(preset, MODELS))
    assert {family: why for family, why in refused.items() if family in fitting} == {}
    assert preset not in NEEDS or not fitting - set(MODELS) and refused
