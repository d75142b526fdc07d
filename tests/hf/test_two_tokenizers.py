"""A warm start from two models of unlike vocabularies: each side in its own tokens, end to end."""

import dataclasses
import json
import random
import re
import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf

from fxformer.cli import app
from fxformer.config.options import composed
from fxformer.config.target import ConfigError
from fxformer.data.packing_pairs import PairedSegments
from fxformer.data.tokenizer import load
from fxformer.evaluate.audit.texts import examples
from fxformer.hf.config_map import ConfigMismatch
from fxformer.hf.export_model import export_model
from fxformer.hf.tokenizer_files import read_tokenizer
from fxformer.inference import text_input
from fxformer.inference.loaded_run import load_run
from fxformer.inference.row_padding import pad_to_bucket, single_row
from fxformer.inspect import attention, predictions
from fxformer.track.run_reader import StoredRun
from fxformer.train.experiment import open_experiment
from fxformer.warmstart.resolve import resolve_warm_start
from tests.hf.fixture import with_words
from tests.inspect.untrained_run import save_untrained_run

LETTERS = list("abcdefgh")
NAMES = dict(zip(LETTERS, "one two three four five six seven eight".split(), strict=True))
WRITTEN = ["zero", *reversed(NAMES.values()), "nine"]  # ids unlike those of the letters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models, reads and writes, and pairs: letters and their names."""
    made = tmp_path_factory.mktemp("two")
    with_words(made, "reads", LETTERS)
    with_words(made, "writes", WRITTEN)
    draw = random.Random(0)
    drawn = [[draw.choice(LETTERS) for _ in range(4)] for _ in range(300)]
    pairs = [{"q": " ".join(one), "text": " ".join(NAMES[c] for c in one)} for one in drawn]
    (made / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    return made


def words(folder, *more, encoder="reads", decoder="writes"):
    """The command line of a warm start."""
    return [f"warm_start.encoder={folder / encoder}", f"warm_start.decoder={folder / decoder}",
            "objective=seq2seq", "data=jsonl", f"data.files={folder}/pairs.jsonl",
            "data.source_field=q", "data/packing=paired", "data.length=6", "data.batch=16",
            f"data.cache_dir={folder}/cache", *more]  # fmt: skip


def config(folder, *more, **sides):
    argv = words(folder, *more, **sides)
    return resolve_warm_start(composed("train", argv), argv)


@pytest.fixture(scope="module")
def resolved_cfg(folder):
    """The config of a warm start, for tests that change it."""
    return config(folder)


@pytest.fixture(scope="module")
def task(resolved_cfg):
    return open_experiment(resolved_cfg)


def test_each_side_has_the_ids_of_its_own_tokenizer(folder, resolved_cfg, task):
    reads, writes = (read_tokenizer(folder / name) for name in ("reads", "writes"))
    assert resolved_cfg.model.network.source_vocab == 23 and task.data.vocabulary.size == 15
    assert task.data.facts["source_vocab_size"] == 13
    documents = task.corpus.source.splits["train"]
    source = documents.source[: documents.source_bounds[1]]
    target = documents.tokens[: documents.bounds[1]]
    letters = reads.decode(source)
    assert len(letters.split()) == 4
    assert source.tolist() == reads.encode(letters).tolist()
    answer = " ".join(NAMES[letter] for letter in letters.split())
    assert target.tolist() == writes.encode(answer).tolist()
    rows = task.data.packed["train"].rows(np.arange(4))
    batch = task.objective.corrupt(rows)
    assert batch.source[0].tolist() == [*reads.prefix, *source, *reads.suffix]
    assert batch.targets[0].tolist() == [*writes.prefix, *target, *writes.suffix]
    (shown,) = examples(rows, batch, task.data.tokenizer, 1)
    plain = shown.plain()
    assert NAMES[plain["reads"].split()[1]] == plain["writes"].split()[1]


def test_rows_of_several_pairs_hold_the_template_of_each_side(task, monkeypatch):
    corpus = dataclasses.replace(task.corpus, packing=PairedSegments())
    corpus.source = task.corpus.source
    monkeypatch.setattr(corpus.source.tokenizer.source, "template", "{text} {eos}")
    rows = corpus.pack("train", 14).rows(np.arange(3))
    one, two = rows.source_segments == 1, rows.segments == 1
    assert one.sum(1).tolist() == [5] * 3 and two.sum(1).tolist() == [6] * 3
    assert (rows.segments.max(1) == 2).all() and (rows.source_segments.max(1) == 2).all()


def test_both_tokenizers_are_kept_and_told_apart(folder, task, tmp_path):
    tokenizer = task.data.tokenizer
    tokenizer.save(tmp_path / "kept")
    again = load(tmp_path / "kept")
    assert again.hash == tokenizer.hash and again.of_source.hash == tokenizer.source.hash
    assert again.of_source.decode(again.of_source.encode("a h c")) == "a h c"
    one = read_tokenizer(folder / "writes")
    assert one.hash != tokenizer.hash and one.of_source is one
    shutil.rmtree(tmp_path / "kept" / "source")
    with pytest.raises(ValueError, match="not those that were saved"):
        load(tmp_path / "kept")


def test_padding_of_a_source_is_in_its_own_vocabulary(task):
    vocabulary = task.objective.vocabulary
    two = dataclasses.replace(vocabulary, pad=14, source=vocabulary.source)
    source = np.full((1, 3), 7, np.int32)
    row = single_row(source[0]).replace(source=source, source_segments=np.ones_like(source))
    wide = pad_to_bucket(row, two, 32)
    assert wide.tokens[0, -1] == 14 and wide.source[0, -1] == two.source.pad != 14


ADOPTED = {
    "one table for both": ("warm_start.share=embeddings", "one embedding table cannot serve both"),
    "one stack for both": ("warm_start.share=all", "write warm_start.share=none"),
    "source and target of one text": ("objective=denoise", "write objective=seq2seq with pairs"),
    "what warm_start.share says": ("model.network.source_vocab=9", "follows from warm_start.share"),
}


@pytest.mark.parametrize("why", ADOPTED)
def test_what_two_tokenizers_cannot_do_is_refused_before_any_text_is_read(folder, why):
    more, said = ADOPTED[why]
    with pytest.raises(ConfigError, match=said):
        config(folder, more)


PLAIN = {"_target_": "fxformer.data.packing.Padded"}
PROMPTED = {"_target_": "fxformer.data.packing_pairs.Prompted"}
OPENED = {
    "single texts": ({"data.source_field": None, "data.packing": PLAIN}, "has single texts"),
    "one stream": ({"data.packing": PROMPTED}, "they have two tokenizers"),
    "too few rows": ({"model.network.source_vocab": 12}, "write model.network.source_vocab=13"),
    "one table": ({"model.network.source_vocab": None}, "the model one word table for both"),
}


@pytest.mark.parametrize("why", OPENED)
def test_what_two_tokenizers_cannot_do_is_refused_before_anything_compiles(resolved_cfg, why):
    changes, said = OPENED[why]
    cfg = resolved_cfg.copy()
    OmegaConf.set_struct(cfg, False)
    for key, value in changes.items():
        OmegaConf.update(cfg, key, value, merge=False)
    with pytest.raises(ValueError, match=said):
        open_experiment(cfg)


def test_an_audit_takes_the_model_and_the_tokenizers_of_init(folder, capsys):
    assert app.audit(words(folder, "audit.draws=200", "audit.examples=1")) == 0
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if "reads" in line and "<bos>" in line)
    assert set(line.split("<bos>")[1].split("<eos>")[0].split()) <= set(LETTERS)


QUIET = ("energy=tdp", "energy.region=null", "tracker=local", "trainer.compile_cache=null",
         "model.dropout=0", "optimizer.lr=1e-2", "trainer.log_every=1", "trainer.steps=60",
         "trainer.save_every=30")  # fmt: skip


@pytest.fixture(scope="module")
def run(folder):
    """A warm start that was trained."""
    assert app.train(words(folder, f"runs={folder}/runs", *QUIET)) == 0
    (made,) = (folder / "runs").glob("*from*")
    return StoredRun(made)


@pytest.mark.slow
def test_it_learns_and_goes_on_bit_for_bit(run, folder):
    loss = np.asarray(run.metrics("train")["loss"])
    assert loss[-5:].mean() < loss[:5].mean() - 0.3
    said = (run.folder / "samples.md").read_text()
    read, truth = (re.search(rf"{what}\W+(.*)", said)[1].split() for what in ("read", "truth"))
    assert [NAMES[letter] for letter in read] == truth
    copy = folder / "again" / run.folder.name
    shutil.copytree(run.folder, copy)
    shutil.rmtree(copy / "checkpoints" / "00000060")
    assert app.train([f"resume={copy}", f"runs={folder}/again"]) == 0
    again = np.asarray(StoredRun(copy).metrics("train")["loss"])
    assert again.tolist() == loss.tolist()


@pytest.mark.slow
def test_each_side_is_shown_in_its_own_tokens(run):
    loaded = load_run(run, 60, looped=True)
    kinds = {one["kind"]: one for one in attention.payload(
        loaded, text_input.plain_input(loaded, "a b", "nine one"))["kinds"]}  # fmt: skip
    assert kinds["encoder"]["queries"] == kinds["cross"]["keys"] == ["<s>", "a", "b", "</s>"]
    assert kinds["decoder"]["keys"] == kinds["cross"]["queries"] == ["</s>", "<s>", "nine", "one"]
    answer = predictions.payload(loaded, text_input.prediction_input(loaded, "a b c d"))
    assert answer["input"] == ["<s>", "a", "b", "c", "d", "</s>"]
    assert set(answer["output"]) <= {"<s>", "</s>", *WRITTEN}
    corrupted = text_input.corrupted_input(loaded, "a b").batch
    assert corrupted.source[0].tolist() == [2, 5, 6, 3] and corrupted.targets[0].tolist() == [
        2,
        1,
        1,
        3,
    ]


@pytest.mark.slow
def test_what_begins_with_it_takes_the_tokenizer_of_the_side(run, folder):
    kept = load(run.folder / "tokenizer")
    both = config(folder, encoder=run.folder, decoder=run.folder)
    assert open_experiment(both).data.tokenizer.hash == kept.hash
    begun = config(folder, encoder=run.folder, decoder="reads")  # one tokenizer: no pair
    assert begun.tokenizer.path == str(folder / "reads")
    argv = [f"warm_start.from={run.folder}", *words(folder)[2:]]
    whole = resolve_warm_start(composed("train", argv), argv)
    assert open_experiment(whole).data.tokenizer.hash == kept.hash
    with pytest.raises(ValueError, match="write objective=seq2seq with pairs"):
        argv[1] = "objective=denoise"
        open_experiment(resolve_warm_start(composed("train", argv), argv))


@pytest.mark.slow
def test_an_export_that_would_lose_a_tokenizer_is_refused(folder, tmp_path):
    sides = [f"tokenizer@tokenizer.{side}=word" for side in ("source", "target")]
    made = save_untrained_run(tmp_path, "marian", "model=marian", "size=tiny", "energy=tdp",
                   *words(folder)[2:], "tokenizer=pair", *sides, "data.length=16",
                   "model.network.source_vocab=32", steps=(1,))  # fmt: skip
    with pytest.raises(ConfigMismatch, match="different tokenizers for source and target"):
        export_model(made, tmp_path / "out")
    assert not (tmp_path / "out").exists()
