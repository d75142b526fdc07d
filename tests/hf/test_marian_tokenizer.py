"""Marian models with their tokenizers: imported, trained from, exported."""

import json
import shutil

import numpy as np
import pytest

from fxformer.config.options import composed
from fxformer.data.tokenizer_marian import MarianTokenizer
from fxformer.hf.export_model import ExportSource, write_export
from fxformer.hf.import_model import import_model
from fxformer.hf.run_weights import model_weights
from fxformer.hf.tokenizer_files import copy_files, read_tokenizer
from fxformer.track.run_reader import StoredRun
from fxformer.train.experiment import open_experiment
from fxformer.warmstart.resolve import resolve_warm_start
from tests.hf.fixture import HERE
from tests.hf.make_vocabularies import HERE as VOCABULARIES

MODELS = {"source.spm": "plain.model", "target.spm": "target.model"}
FILES = {"marian": "vocab.json", "marian_two_tables": "target_vocab.json"}
ENGLISH, GERMAN = "▁ s t e i n a d r o l .".split(), "▁ e n i s S a c h f r t".split()


@pytest.fixture(params=FILES)
def published(request, tmp_path):
    """A Marian model of 23 ids with a small tokenizer: one vocabulary, or one for each side."""
    folder = tmp_path / request.param
    shutil.copytree(HERE / request.param, folder)
    for target, source in MODELS.items():
        shutil.copyfile(VOCABULARIES / source, folder / target)
    one = request.param == "marian"
    sides = [ENGLISH + GERMAN] if one else [ENGLISH, GERMAN]
    for side, name in zip(sides, ("vocab.json", "target_vocab.json"), strict=False):
        pieces = list(dict.fromkeys(["</s>", "<unk>", *side]))
        pieces += [f"<unused_{i}>" for i in range(22 - len(pieces))] + ["<pad>"]
        (folder / name).write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    settings = {"tokenizer_class": "MarianTokenizer", "separate_vocabs": not one}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize(
    "published",
    ["marian", pytest.param("marian_two_tables", marks=pytest.mark.slow)],
    indirect=True,
)
def test_pairs_are_read_by_both_tokenizers_and_go_out_again(published, tmp_path):
    lines = [{"en": f"It is {n}", "text": f"Es ist {n}"} for n in range(40)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    argv = [f"warm_start.from={published}", "objective=seq2seq", "data=jsonl", "data.batch=4",
            f"data.files={tmp_path}/pairs.jsonl", "data.source_field=en", "data/packing=paired",
            "data.length=12", f"data.cache_dir={tmp_path}/cache"]  # fmt: skip
    experiment = open_experiment(resolve_warm_start(composed("train", argv), argv))
    tokenizer = experiment.data.tokenizer
    source, target = tokenizer.of_source, tokenizer
    assert isinstance(target, MarianTokenizer) and source is not target
    assert target.shares_ids == (published.name == "marian")
    batch = experiment.objective.corrupt(experiment.data.packed["train"].rows(np.arange(1)))
    for ids, side, text in ((batch.source, source, "It is"),
                            (batch.targets, target, "Es ist")):  # fmt: skip
        want = side.encode(text).tolist()
        assert ids[0, : len(want)].tolist() == want and side.ids.eos in ids[0]

    made = StoredRun(import_model(published, runs=str(tmp_path / "runs")).folder)
    (tmp_path / "copied").mkdir()
    assert set(copy_files(published, tmp_path / "copied")) >= {*MODELS, FILES[published.name]}
    trained = ExportSource(
        name="trained",
        config=made.config,
        arrays=model_weights(made),
        tokenizer=target,
        published=None,
    )
    written = write_export(trained, tmp_path / "written", family="marian")
    assert not written.caveats and "target.spm" in written.files
    for folder in ("copied", "written"):
        again = read_tokenizer(tmp_path / folder, 23)
        assert again.hash == target.hash, folder


def test_a_decoder_alone_has_the_tokenizer_of_targets(published):
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"is_encoder_decoder": False}))
    alone = read_tokenizer(published, 23)
    assert alone.source is None and alone.model == (VOCABULARIES / "target.model").read_bytes()


def test_an_id_without_a_row_and_added_tokens_are_refused(published):
    file = published / FILES[published.name]
    vocab = json.loads(file.read_text())
    file.write_text(json.dumps(vocab | {"new": 23}))
    with pytest.raises(ValueError, match="has an id 23 and the word table 23 rows"):
        read_tokenizer(published, 23)
    file.write_text(json.dumps({name: i for name, i in vocab.items() if name != "<unk>"}))
    with pytest.raises(ValueError, match="has no <unk>"):
        read_tokenizer(published, 23)
    file.write_text(json.dumps(vocab))
    (published / "added_tokens.json").write_text(json.dumps({"new": 23}))
    with pytest.raises(ValueError, match="'new' was added to a Marian vocabulary"):
        read_tokenizer(published, 23)
