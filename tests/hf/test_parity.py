"""Every fixture: our model of it answers what transformers answers, and goes back bit for bit.

One fixture of each model_type runs by default, all of them, and those of FXFORMER_PARITY, as slow
tests (`-m ""` runs both).
"""

import json

import numpy as np
import pytest

from fxformer.config.options import plain
from fxformer.hf.convert import dump
from fxformer.hf.detect_family import detect_family
from fxformer.hf.export_model import export_model
from fxformer.hf.import_model import import_model
from fxformer.hf.tensor_files import TensorFiles
from fxformer.track.run_reader import StoredRun
from tests.hf.fixture import HERE, TOLERANCE, answers, others, own, published, valid, wanted


def stated(folder, field):
    return json.loads((folder / "config.json").read_text())[field]


# decoders of which the model_type says an encoder-decoder
ALONE = [HERE / "bart_causal", HERE / "prophetnet_causal"]
FIRST = [*{stated(folder, "model_type"): folder for folder in reversed(own())}.values(), *ALONE]
slow = pytest.mark.slow
MORE = [pytest.param(f, id=f.name, marks=slow) for f in own() if f not in FIRST]
FIXTURES = [pytest.param(folder, id=folder.name) for folder in FIRST] + MORE
OTHERS = [pytest.param(folder, id=f"third-{folder.name}", marks=slow) for folder in others()]


@pytest.mark.parametrize("folder", FIXTURES + OTHERS)
@pytest.mark.sample(4)
def test_the_answers_are_those_of_transformers(folder):
    ours, compared = answers(folder), 0
    for name, theirs in wanted(folder).items():
        if name not in ours:
            continue
        where = valid(folder, name, theirs)
        assert ours[name].shape == theirs.shape, name
        far = np.abs(ours[name] - theirs)[where].max()
        size = max(1.0, np.abs(theirs[where]).max())
        assert far <= min(TOLERANCE * size, 1e-4), f"{name}: {far}"
        compared += 1
    assert compared >= (1 if "__seqcls" in folder.name else 2)
    assert "logits" not in wanted(folder) or "logits" in ours


@pytest.mark.parametrize("folder", FIXTURES + OTHERS)
@pytest.mark.sample(5)
def test_tensors_go_back_bit_for_bit_under_the_same_names(folder):
    one = published(folder)
    if folder.name.endswith("__legacy"):
        return  # other names on purpose
    from fxformer.config.build import build
    from fxformer.hf.published_model import parameter_shapes

    arrays, _ = one.load(parameter_shapes(build(one.compose().model.network), one.vocab))
    tensors = dump(one.entries, arrays)
    assert len(tensors) == len(TensorFiles(folder))
    unread = {entry.file for entry in one.entries if entry.unread}
    for name, array in tensors.items():
        assert name in unread or np.array_equal(array, one.source.read(name)), name


@pytest.mark.parametrize(
    "folder",
    [pytest.param(f, id=f.name, marks=() if f in [*FIRST[::4], *ALONE] else slow) for f in own()],
)
@pytest.mark.sample(3)
def test_a_model_is_recognised_as_the_class_it_came_from(folder):
    found = detect_family(
        plain(published(folder).compose().model), model_type=stated(folder, "model_type")
    )
    assert [found.variant.architecture] == stated(folder, "architectures")


WHOLE = ("t5_gated",)


@pytest.mark.parametrize(
    "folder",
    [pytest.param(f, id=f.name, marks=() if f.name in WHOLE else slow) for f in own()],
)
def test_import_then_export_gives_the_files_back(folder, tmp_path):
    made = import_model(folder, runs=str(tmp_path / "runs"))
    export_model(StoredRun(made.folder), tmp_path / "out")
    before, after = TensorFiles(folder), TensorFiles(tmp_path / "out")
    assert set(before) == set(after)
    unread = {entry.file for entry in made.published.entries if entry.unread}
    for name in before:
        assert name in unread or np.array_equal(before.read(name), after.read(name)), name
    old = json.loads((folder / "config.json").read_text())
    new = json.loads((tmp_path / "out" / "config.json").read_text())
    changed = {key: (old[key], new.get(key)) for key in old if old[key] != new.get(key)}
    assert not changed
    again = detect_family(
        plain(published(tmp_path / "out").compose().model), model_type=old["model_type"]
    )
    assert again.variant.architecture == made.published.variant.architecture


def test_the_fixtures_stay_small():
    assert sum(file.stat().st_size for file in HERE.rglob("*.*")) < 1_300_000
