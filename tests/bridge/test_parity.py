"""Every fixture: our model of it answers what transformers answers, and goes back bit for bit."""

import json

import numpy as np
import pytest

from fxformer.bridge.convert import dump
from fxformer.bridge.exporting import export_model
from fxformer.bridge.importing import import_model
from fxformer.bridge.matching import match
from fxformer.bridge.options import plain
from fxformer.bridge.tensor_files import TensorFiles
from fxformer.track.store import StoredRun
from tests.bridge.fixture import TOLERANCE, answers, others, own, published, valid, wanted

FIXTURES = [pytest.param(folder, id=folder.name) for folder in own()]
OTHERS = [pytest.param(folder, id=folder.name) for folder in others()]


@pytest.mark.parametrize("folder", FIXTURES + OTHERS)
def test_the_answers_are_those_of_transformers(folder):
    ours, compared = answers(folder), 0
    for name, theirs in wanted(folder).items():
        if name in ours:
            where = valid(folder, name, theirs)
            assert ours[name].shape == theirs.shape, name
            far = np.abs(ours[name] - theirs)[where].max()
            size = max(1.0, np.abs(theirs[where]).max())
            assert far <= min(TOLERANCE * size, 1e-4), f"{name}: {far}"
            compared += 1
    # states of every layer, and logits or a class
    assert compared >= (1 if "__seqcls" in folder.name else 2)
    assert "logits" not in wanted(folder) or "logits" in ours


@pytest.mark.parametrize("folder", FIXTURES)
def test_a_model_is_recognised_as_the_class_it_came_from(folder):
    found = match(plain(published(folder).compose().model), wanted=_kind(folder))
    assert [found.form.architecture] == json.loads((folder / "config.json").read_text())[
        "architectures"
    ]


@pytest.mark.parametrize("folder", FIXTURES)
def test_import_then_export_gives_the_file_back(folder, tmp_path):
    made = import_model(folder, runs=str(tmp_path / "runs"))
    export_model(StoredRun(made.folder), tmp_path / "out")
    before, after = TensorFiles(folder), TensorFiles(tmp_path / "out")
    assert set(before) == set(after)
    for name in before:
        assert before[name].shape == after[name].shape
        assert np.array_equal(before.read(name), after.read(name)), name
    old = json.loads((folder / "config.json").read_text())
    new = json.loads((tmp_path / "out" / "config.json").read_text())
    changed = {key: (old[key], new.get(key)) for key in old if old[key] != new.get(key)}
    assert changed.keys() <= {"n_inner", "transformers_version", "num_hidden_layers"}, changed


@pytest.mark.parametrize("folder", OTHERS)
def test_third_party_files_go_back_too(folder):
    one = published(folder)
    if folder.name.endswith("__legacy"):
        return  # other names on purpose
    from fxformer.bridge.reading import shapes_of
    from fxformer.config.build import build

    arrays, _ = one.load(shapes_of(build(one.compose().model.network), one.vocab))
    found = match(plain(one.compose().model), wanted=_kind(folder))
    assert found.form.architecture == one.form.architecture
    tensors = dump(one.entries, arrays)
    assert len(tensors) == len(TensorFiles(folder))
    for name, array in tensors.items():
        assert np.array_equal(array, one.source.read(name)), name


def _kind(folder):
    return json.loads((folder / "config.json").read_text())["model_type"]
