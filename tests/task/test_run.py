"""A task's run: trained, evaluated, opened, used by a pipeline, exported with its label names."""

import json
import shutil

import jax
import numpy as np
import pytest

import fxformer
from fxformer.errors import UserError
from fxformer.hf.export_model import export_model
from fxformer.track.run_reader import StoredRun
from fxformer.train.main import main
from fxformer.train.split_batches import SplitBatches
from tests.composing import composed
from tests.first_state import first_state
from tests.task.rows import TINY, rows_of, setup_of, write


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A classification run of a few steps on 40 rows, and its validation rows."""
    folder = tmp_path_factory.mktemp("task")
    valid = rows_of("classification", 20, seed=1)
    words = [
        "model=bert", "task=classification", *TINY, "optimizer.lr=3e-3", "trainer.steps=12",
        "trainer.eval_every=6", "trainer.metric=f1_macro", "trainer.compile_cache=null",
        f"data.files={write(folder / 'train.jsonl', rows_of('classification'))}",
        f"data.valid_files={write(folder / 'valid.jsonl', valid)}",
        f"data.cache_dir={folder / 'cache'}", f"runs={folder / 'runs'}", "energy=tdp",
    ]  # fmt: skip
    main(composed(words))
    (made,) = [one for one in (folder / "runs").iterdir() if (one / "run.json").is_file()]
    return made, valid


def test_the_run_stores_what_its_numbers_mean(run):
    stored = StoredRun(run[0])
    assert stored.config["task"]["labels"] == ["few", "many"]
    assert stored.config["model"]["task_head"]["classification"]["classes"] == 2
    assert "f1_macro" in stored.facts["metrics"]["f1_macro"]
    valid = [line for line in stored.lines if line["split"] == "valid"]
    assert {"loss", "nll", "accuracy", "f1_macro"} <= set(valid[-1]) and len(valid) == 2
    assert "perplexity" not in valid[-1]
    best = max(line["f1_macro"] for line in valid)
    assert stored.facts["summary"]["best"] == pytest.approx(best)  # the larger one, not the loss


def test_its_pipeline_answers_as_it_was_evaluated(run):
    folder, rows = run
    classify = fxformer.pipeline("text-classification", str(folder))
    answers = classify([row["text"] for row in rows], top_k=1)
    hits = [one[0]["label"] == row["label"] for one, row in zip(answers, rows, strict=True)]
    last = [line for line in StoredRun(folder).lines if line["split"] == "valid"][-1]
    assert np.mean(hits) == pytest.approx(last["accuracy"])
    wanted = -np.mean([
        np.log(one[0]["score"] if hit else 1 - one[0]["score"])
        for one, hit in zip(answers, hits, strict=True)
    ])  # fmt: skip
    assert wanted == pytest.approx(last["nll"], abs=1e-4)


def test_its_export_names_the_classes(run, tmp_path):
    made = export_model(StoredRun(run[0]), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert made.architecture == "BertForSequenceClassification"
    assert config["id2label"] == {"0": "few", "1": "many"}
    assert config["problem_type"] == "single_label_classification"
    again = fxformer.pipeline("text-classification", str(tmp_path / "out"))
    here = fxformer.pipeline("text-classification", str(run[0]))
    text = run[1][0]["text"]
    assert again(text)[0]["label"] == here(text)[0]["label"]
    assert again(text)[0]["score"] == pytest.approx(here(text)[0]["score"], abs=1e-5)


def test_a_stored_task_may_not_name_foreign_code(run, tmp_path):
    text = (run[0] / "config.yaml").read_text()
    other = shutil.copytree(run[0], tmp_path / "run")
    assert "fxformer.task.classification.Classification" in text
    changed = text.replace("fxformer.task.classification.Classification", "builtins.print")
    (other / "config.yaml").write_text(changed)
    with pytest.raises(UserError, match="task"):
        fxformer.load(str(other))


def test_an_evaluation_that_was_given_up_leaves_no_remarks(tmp_path):
    """SIGTERM in the middle of one: what it has seen of the rows is no result."""
    setup = setup_of(tmp_path, "classification")
    validation = SplitBatches(setup)
    state = first_state(setup)
    batches = iter(validation)
    validation.observe(first := next(batches), jax.jit(setup.evaluate)(state.params, first)[1])
    assert validation.outputs and not validation.whole
    list(batches)
    assert validation.whole
