"""Layer subsets of a teacher: the student has its arrays, and training lowers the loss."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from fxformer.config.build import build
from fxformer.config.options import composed, plain
from fxformer.config.target import ConfigError
from fxformer.hf.detect_family import detect_family
from fxformer.hf.import_model import import_model
from fxformer.hf.published_model import parameter_shapes
from fxformer.warmstart.checkpoint_source import open_source
from fxformer.warmstart.config_references import resolved
from fxformer.warmstart.layer_subset import (
    block_slices,
    layer_indices,
    layers_by_stack,
    subset_model,
)
from fxformer.warmstart.resolve import resolve_warm_start
from tests.hf.fixture import HERE
from tests.warmstart.test_initializer import train


def student(folder, layers, *words, vocab=23, runs="runs"):
    """(config, arrays, conversion report, the teacher's arrays) of a student."""
    argv = [f"warm_start.from={folder}", f"warm_start.layers={layers}", "tokenizer=none", *words]
    cfg = resolve_warm_start(composed("train", argv), argv)
    network = build(cfg.model.network)
    arrays, lines = build(cfg.warm_start).weights(parameter_shapes(network, vocab), runs=runs)
    source = open_source(str(folder), runs)
    whole = build(OmegaConf.create({"model": source.model}).model.network)
    return cfg, arrays, lines, source.load(parameter_shapes(whole, vocab))[0]


TEACHERS = {
    "bert": ("every_other", {"transformer": [0]}),
    "gpt2": ("[1]", {"transformer": [1]}),
    "t5": ("{encoder: [1], decoder: all}", {"encoder": [1], "decoder": [0]}),
    "bart": ("every_other", {"encoder": [0], "decoder": [0]}),
    "modernbert": ("[0,2]", {"transformer": [1]}),  # the first is a block of its own
    "albert_groups": ("every_other", {"transformer": [0, 1, 2, 3]}),
    "led": ("{encoder: every_other}", {"encoder": [0], "decoder": [0, 1]}),
}


QUICK = ("bert", "t5", "modernbert", "albert_groups")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in TEACHERS]
)
@pytest.mark.sample(2)
def test_a_students_layers_are_the_teachers(name):
    layers, blocks = TEACHERS[name]
    _, arrays, lines, teacher = student(HERE / name, layers)
    assert not [line for line in lines if line.status == "fresh"]
    assert arrays.keys() == teacher.keys()
    for path, array in arrays.items():
        side = next((s for s in blocks if path.startswith(f"{s}/stack/blocks/")), None)
        assert np.array_equal(array, teacher[path][blocks[side]] if side else teacher[path]), path


def test_distilberts_recipe():
    words = (
        "model/input=normed",
        "model/task_head=none",
        "objective=mlm",
        "model.norm.eps=1e-12",
    )  # BERT's value, which DistilBERT's config has no field for
    cfg, arrays, lines, _ = student(HERE / "bert", "every_other", *words)
    dropped = [line.tensor for line in lines if line.status == "ignored"]
    heads = [
        f"{h}.{w}"
        for h in ("bert.pooler.dense", "cls.seq_relationship")
        for w in ("weight", "bias")
    ]
    assert sorted(dropped) == sorted(["bert.embeddings.token_type_embeddings.weight", *heads])
    assert not any("types" in path for path in arrays)
    assert detect_family(plain(cfg.model)).variant.architecture == "DistilBertForMaskedLM"
    assert cfg.warm_start.layers == {"encoder": [0]}  # the run's config records them


def test_half_of_bert_base_without_types_is_as_large_as_distilbert():
    base = composed(None, ["+model=bert", "+size=base", "model/input=normed", "model/head=none"])
    teacher = OmegaConf.to_container(base.model, resolve=False)
    half = subset_model(teacher, layers_by_stack(resolved(teacher), "every_other"))
    shapes = parameter_shapes(build(OmegaConf.create({"model": half}).model.network), 30522)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 66_362_880


def test_layers_keep_their_attention_windows():
    cfg, *_ = student(HERE / "modernbert", "[0,1,3]")
    whole = open_source(str(HERE / "modernbert"), "runs").resolved_model["encoder"]["windows"]
    assert plain(cfg.model)["encoder"]["windows"] == [whole[i % len(whole)] for i in (0, 1, 3)]
    assert cfg.model.layers == 3


@pytest.mark.parametrize(
    "layers", ["[]", "[2]", "[1,0]", "[0,0]", "[-1]", "second", "{decoder: all}"]
)
@pytest.mark.sample(2)
def test_invalid_layer_choices_are_refused(layers):
    with pytest.raises(ConfigError, match="warm_start.layers"):
        student(HERE / "bert", layers)


def test_other_refusals():
    with pytest.raises(ConfigError, match="begin with 0"):
        student(HERE / "modernbert", "[1,2]")
    with pytest.raises(ConfigError, match="leave it out"):
        student(HERE / "bert", "every_other", "model.layers=1")
    with pytest.raises(ConfigError, match="as many layers of each"):
        student(HERE / "albert_groups", "[0,2,3]")
    with pytest.raises(ConfigError, match="write warm_start.from=RUN too"):
        words = ["warm_start.layers=every_other"]
        resolve_warm_start(composed("train", words), words)


def test_every_other_keeps_layers_0_2_4():
    assert layer_indices("every_other", 12) == [0, 2, 4, 6, 8, 10]
    assert layer_indices("every_other", 5) == [0, 2, 4] and layer_indices("all", 2) == [0, 1]
    twelve = {"encoder": {"layers": 12}, "network": {"transformer": {}}}
    assert block_slices(twelve, layers_by_stack(twelve, [0, 2, 4, 7, 9, 11])) == {
        "transformer/stack/blocks/": (12, [0, 2, 4, 7, 9, 11])
    }


CASES = [
    ("bert", "mlm"),
    ("gpt2", "clm"),
    ("t5", "denoise"),
    ("bart", "denoise"),
    ("modernbert", "mlm"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name,objective", CASES)
def test_training_a_student_lowers_the_loss(name, objective, tmp_path):
    words = (
        f"objective={objective}",
        "warm_start.layers=every_other",
        "model.dropout=0",
        "trainer.steps=20",
        "trainer.log_every=1",
        "optimizer.lr=1e-2",
    )
    run = train(HERE / name, tmp_path, *words)
    loss = run.metrics("train")["loss"]
    assert loss[-5:].mean() < loss[:5].mean() - 0.05


@pytest.mark.slow
def test_a_run_can_be_the_teacher(tmp_path):
    first = import_model(HERE / "gpt2", runs=str(tmp_path)).folder
    _, arrays, _, teacher = student(first, "[1]", runs=str(tmp_path))
    path = "transformer/stack/blocks/ffn/up/kernel"
    assert np.array_equal(arrays[path], teacher[path][[1]])
