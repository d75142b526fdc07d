"""Every yaml of conf/data and conf/tokenizer composes, spells every knob, and builds."""

import dataclasses
from pathlib import Path

import pytest
from hydra.utils import get_class, instantiate

from fxformer.config import options
from fxformer.data.corpus import Corpus

CONF = Path(__file__).parents[2] / "conf"


def choices(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides):
    return options.composed(None, overrides)


@pytest.mark.parametrize("name", choices("data"))
def test_data(name):
    labelled = ["+model=bert", "+size=tiny", "+objective=mlm", "+task=classification"]
    read_by_tasks = ("labelled", "stdlib_rows", "templates")
    labelled = labelled if name in read_by_tasks else []
    node = composed("+tokenizer=unigram", f"+data={name}", *labelled).data
    knobs = {field.name for field in dataclasses.fields(get_class(node._target_))}
    assert set(node) - {"_target_", "_partial_"} == knobs - {"tokenizer"}
    assert isinstance(instantiate(node)(tokenizer=None), Corpus)


@pytest.mark.parametrize("name", choices("tokenizer"))
def test_tokenizer(name):
    node = composed(f"+tokenizer={name}").tokenizer
    recipe = instantiate(node)
    assert set(node) - {"_target_"} == {field.name for field in dataclasses.fields(recipe)}
    if name != "file":
        assert isinstance(recipe.key(), str)


@pytest.mark.parametrize("name", choices("data/packing"))
def test_packing_is_chosen_from_the_command_line(name):
    node = composed("+tokenizer=none", "+data=markov", f"data/packing={name}").data.packing
    assert set(node) - {"_target_"} == {f.name for f in dataclasses.fields(instantiate(node))}


def test_the_knobs_people_type(tmp_path):
    (tmp_path / "a.txt").write_text("Some text. " * 99)
    cfg = composed(
        "+data=text", "+tokenizer=char", f"data.files='{tmp_path}/*.txt'", "data.length=64",
        "data.batch=2", f"data.cache_dir={tmp_path}/cache", "data/packing=blocks",
    )  # fmt: skip
    corpus = instantiate(cfg.data)(tokenizer=instantiate(cfg.tokenizer))
    ready = corpus.prepare(corpus.length + 1)
    assert ready.train(corpus.batch, seed=1)[0].tokens.shape == (2, 65)
