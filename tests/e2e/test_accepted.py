"""Choices from all groups, drawn at random: whatever fits together builds and passes its gates."""

import random

import pytest
from gate import CHAIN, TINY, passed, text

from fxformer.config.folders import conf_folder

FAMILIES = {
    "encoder": (["bert", "roberta", "distilbert", "albert", "electra", "encoder"],
                ["mlm", "mlm_roberta"]),
    "decoder": (["gpt2", "gpt_neo", "decoder"], ["clm"]),
    "seq2seq": (["bart", "t5", "seq2seq"],
                [p.stem for p in (conf_folder() / "objective").glob("denoise*.yaml")]),
}
# Parts that fit into every model; learned tables must be long enough, grouped heads few enough.
PARTS = {
    "attention": ["multihead", "unbiased", "qk_norm", "multiquery", "grouped", "t5"],
    "position": ["learned", "sinusoidal", "rotary", "buckets", "alibi", "none"],
    "ffn": ["mlp", "gated", "t5"],
    "norm": ["layer", "rms", "bert", "layer_nobias"],
    "residual": ["pre", "post", "sandwich", "parallel", "parallel_shared"],
    "embed": ["plain", "normed", "typed"],
    "head": ["tied", "untied", "mlm"],
    "act": ["gelu", "gelu_tanh", "relu", "silu"],
    "init": ["normal", "fan_in", "depth_scaled"],
}
REST = {
    "optimizer": ["adamw", "adafactor", "lion", "sgd", "muon"],
    "schedule": ["constant", "linear", "cosine", "inverse_sqrt", "wsd", "one_cycle"],
    "precision": ["float32", "bfloat16"],
    "mesh": ["single", "data", "fsdp"],
    "tokenizer": ["char", "word", "wordpiece", "bytebpe", "byte"],
    "data/packing": ["segments", "blocks", "padded"],
    "trainer.accumulate": [1, 2],
    "trainer.ema": ["null", 0.9],
    "model.remat": ["true", "false"],
    "model.groups": ["null", 1],
    "model.unroll": ["null", 1],
    "model.dropout": [0.0, 0.1],
    "objective.loss.smoothing": [0.0, 0.1],
}


def drawn(seed, file):
    """A command line: a family with some of its parts exchanged, and everything else at random."""
    draw = random.Random(seed)
    models, objectives = FAMILIES[sorted(FAMILIES)[seed % 3]]
    argv = [f"model={draw.choice(models)}", f"objective={draw.choice(objectives)}", *text(file)]
    for part in draw.sample(sorted(PARTS), draw.randint(1, 4)):
        argv.append(f"model/{part}={draw.choice(PARTS[part])}")
    for key in draw.sample(sorted(REST), 8):
        argv.append(f"{key}={draw.choice(REST[key])}")
    return [*argv, "data.length=32", "energy=model"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    place = tmp_path_factory.mktemp("text") / "a.txt"
    lines = (f"Line {n} of the text. It has {n % 7} words more." for n in range(800))
    place.write_text("\n\n".join(lines))
    return place


@pytest.mark.parametrize("seed", range(9))
def test_what_fits_together_is_accepted(seed, file):
    argv = drawn(seed, file)
    assert passed(argv).parameters, " ".join(argv)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(9, 90))
def test_more_of_what_fits_together_is_accepted(seed, file):
    argv = drawn(seed, file)
    assert passed(argv).parameters, " ".join(argv)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({m for models, _ in FAMILIES.values() for m in models}))
def test_every_part_fits_every_family(family, file):
    """Each part alone: exchanging one leaves no knob of another behind."""
    (objective,) = (o[0] for m, o in FAMILIES.values() if family in m)
    for part, choices in PARTS.items():
        for choice in choices:
            argv = [f"model={family}", f"objective={objective}", *text(file)]
            assert passed([*argv, "data.length=32", f"model/{part}={choice}"]), (part, choice)


def test_tasks_of_pairs_are_accepted():
    for task in ("copy", "reverse", "sort"):
        whole = [*CHAIN, *TINY, f"data={task}", "data.length=24", "data.shortest=3"]
        whole = [w for w in whole if w not in ("data=markov", "data.length=16")]
        assert passed(["model=bart", "objective=seq2seq", *whole])
        assert passed(["model=gpt2", "objective=clm", "data/packing=prompted", *whole])
