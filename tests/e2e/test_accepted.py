"""tests/configs/valid.txt: compositions of all groups, each of which trains.

compositions.py draws them and writes the list anew.
"""

import math
import random
from pathlib import Path

import pytest
from compositions import GROUPS, TEXT, command, options, two_steps
from config_judgement import CHAIN, TINY, passed, refusal, text

from fxformer.config.folders import conf_folder

FAMILIES = {
    "encoder": (
        ["bert", "roberta", "distilbert", "albert", "electra", "encoder"],
        ["mlm", "mlm_roberta"],
    ),
    "decoder": (["gpt2", "gpt_neo", "decoder"], ["clm"]),
    "seq2seq": (
        ["bart", "t5", "seq2seq"],
        [p.stem for p in (conf_folder() / "objective").glob("denoise*.yaml")],
    ),
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
LINES = [
    line
    for line in (Path(__file__).parents[1] / "configs" / "valid.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
SAMPLE = random.Random(0).sample(LINES, 4)  # of the quick suite: 3 are judged, 1 makes steps


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    place = tmp_path_factory.mktemp("text") / "a.txt"
    place.write_text(TEXT)
    return place


def test_the_list_is_long_and_has_every_option():
    assert len(set(LINES)) == len(LINES) >= 200
    used = {word for line in LINES for word in line.split()}
    groups = ("model", "objective", *GROUPS)
    lacking = {f"{g}={o}" for g in groups for o in options(g)} - used
    assert lacking == {"model/attention=prophetnet"}  # of an n-gram decoder, which has it itself


@pytest.mark.parametrize("words", SAMPLE[:3])
def test_a_valid_composition_passes_its_gates(words, file):
    assert refusal(command(words, file)) is None


@pytest.mark.parametrize("words", SAMPLE[3:])
def test_a_valid_composition_makes_two_finite_steps(words, file):
    assert all(math.isfinite(loss) for loss in two_steps(command(words, file)))


@pytest.mark.slow
@pytest.mark.parametrize("words", LINES)
def test_each_valid_composition_makes_two_finite_steps(words, file):
    assert all(math.isfinite(loss) for loss in two_steps(command(words, file)))


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({m for models, _ in FAMILIES.values() for m in models}))
def test_every_part_fits_every_family(family, file):
    """Each part alone: exchanging one leaves no knob of another behind."""
    (objective,) = (o[0] for m, o in FAMILIES.values() if family in m)
    for part, choices in PARTS.items():
        for choice in choices:
            argv = [f"model={family}", f"objective={objective}", *text(file)]
            assert passed([*argv, "data.length=32", f"model/{part}={choice}"]), (part, choice)


PAIR_TASKS = ["copy", *(pytest.param(t, marks=pytest.mark.slow) for t in ("reverse", "sort"))]


@pytest.mark.parametrize("task", PAIR_TASKS)
def test_a_task_of_pairs_is_accepted(task):
    whole = [*CHAIN, *TINY, f"data={task}", "data.length=24", "data.shortest=3"]
    whole = [w for w in whole if w not in ("data=markov", "data.length=16")]
    assert passed(["model=bart", "objective=seq2seq", *whole])
    assert passed(["model=gpt2", "objective=clm", "data/packing=prompted", *whole])
