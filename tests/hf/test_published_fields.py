"""The config.json of well-known checkpoints, every field they carry, is read and comes back."""

import json
import shutil

import pytest

from fxformer.config.options import composed
from fxformer.config.target import ConfigError
from fxformer.hf.config_map import ConfigMismatch
from fxformer.hf.export_model import export_model
from fxformer.hf.family import all_families
from fxformer.hf.import_model import import_model
from fxformer.hf.published_model import read_published
from fxformer.track.run_reader import StoredRun
from fxformer.warmstart.resolve import resolve_warm_start
from tests.hf.fixture import HERE
from tests.hf.published_configs import PUBLISHED, shrunken
from tests.hf.test_refusals import changed


def folder(tmp_path, name):
    """A tiny checkpoint with the published config.json of this name; the words it must become."""
    fixture, words, config = shrunken(name)
    shutil.copytree(HERE / fixture, tmp_path / "published")
    (tmp_path / "published" / "config.json").write_text(json.dumps(config))
    return tmp_path / "published", words, config


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_is_read_with_all_its_fields(name, tmp_path):
    place, words, _ = folder(tmp_path, name)
    assert set(words) <= set(read_published(place).overrides)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "distilbert-base-uncased" else pytest.mark.slow)
        for name in PUBLISHED
    ],
)
def test_what_came_in_goes_out(name, tmp_path):
    place, _, config = folder(tmp_path, name)
    made = import_model(place, runs=str(tmp_path / "runs"))
    export_model(StoredRun(made.folder), tmp_path / "out")
    after = json.loads((tmp_path / "out" / "config.json").read_text())
    decided = {"architectures", "torch_dtype", "tie_word_embeddings"}  # by the weights
    assert {k: after.get(k) for k in config if k not in decided} == {
        k: v for k, v in config.items() if k not in decided
    }
    (family,) = [
        f
        for f in all_families()
        if f.types == made.published.family.types and f.model == made.published.family.model
    ]
    assert not set(after) & set(family.derived)


def test_a_null_says_nothing(tmp_path):
    assert read_published(changed(tmp_path, "bert", {"quantization_config": None})).vocab == 23
    with pytest.raises(ConfigMismatch, match="quantization_config=.* is not known"):
        read_published(changed(tmp_path / "other", "bert", {"quantization_config": {"bits": 4}}))


def test_training_may_vouch_for_a_field_too(tmp_path):
    place = changed(tmp_path, "bert", {"house_note": "hello", "author": "us"})
    words = [f"warm_start.from={place}", "data=markov", "tokenizer=none"]
    with pytest.raises(ValueError, match=r"'warm_start.ignore=\[house_note,author\]'"):
        resolve_warm_start(composed("train", words), words)
    words.append("warm_start.ignore=[house_note,author]")
    assert resolve_warm_start(composed("train", words), words).model.layers == 2
    words[-1] = "warm_start.ignore=[[a]]"
    with pytest.raises(ConfigError, match="expected names of fields"):
        resolve_warm_start(composed("train", words), words)
