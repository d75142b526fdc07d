"""Suites with real models: each task is built, one is interrupted and goes on, GLUE's files."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import yaml

from fxformer.suite.definition import load
from fxformer.train.setup import set_up
from tests.composing import composed
from tests.suite.glue_files import write

E2E = Path(__file__).resolve().parents[1] / "e2e"
sys.path.insert(0, str(E2E)) if str(E2E) not in sys.path else None
from shell import fxformer, start  # noqa: E402

TINY = (
    "size=tiny", "model.dim=16", "model.layers=1", "model.heads=2", "model.ffn.hidden=32",
    "tokenizer.vocab_size=400", "data.workers=0",
)  # fmt: skip
CANNOT = {("summary", "encoder"), ("entities", "seq2seq"), ("answers", "seq2seq")}
MODELS = {"encoder": "model=bert", "decoder": "model=gpt2", "seq2seq": "model=bart"}


def built(words: list[str], model: str, folder: Path):
    """A task of a suite with a tiny model, not compiled."""
    more = [MODELS[model], *TINY, f"data.cache_dir={folder / 'cache'}"]
    return set_up(composed([*more, *words]))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_each_task_of_the_small_suite_is_built(model, tmp_path):
    suite = load("mini")
    for name, words in suite.arms(model, None).items():
        if (name, model) in CANNOT:
            continue
        setup = built([*words, "data.valid_examples=40"], model, tmp_path)
        assert {*suite.tasks[name].metrics} <= {*setup.directions}, name
        best = setup.data.facts.get("best")
        assert (best is not None) == (name in ("topic", "entities", "answers"))


@pytest.mark.slow
def test_each_task_of_glue_is_built_of_its_files(tmp_path):
    suite = load("glue")
    for name, words in suite.arms("encoder", str(write(tmp_path / "glue"))).items():
        setup = built([*words, "data.batch=4"], "encoder", tmp_path)
        wanted = {one.rpartition("/")[2] for one in suite.tasks[name].metrics}
        assert wanted <= {*setup.objective.metric_names}, name
        assert setup.objective.task.outputs == {"stsb": 1, "mnli": 3}.get(name, 2)


@pytest.fixture
def ours(tmp_path) -> list[str]:
    """The words of a suite of two tasks of a few steps."""
    template = "data=templates data.examples=40 data.valid_examples=24 trainer.epochs=2".split()
    suite = {
        "seeds": 2,
        "words": [*template, *TINY, "tokenizer=word", "data.batch=8", f"data.cache_dir={tmp_path}"],
        "tasks": {
            "one": {"words": ["task=classification"], "metrics": ["accuracy"], "also": ["loss"]},
            "two": {
                "words": ["task=token_classification", "data.kind=entities"],
                "metrics": ["entity_f1"], "also": ["loss"],
            },
            "three": {"words": ["task=seq2seq"], "metrics": ["rougeL"]},
        },
    }  # fmt: skip
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False))
    return [f"suite={path}", "model=bert", "energy=tdp"]


def results(folder: Path) -> dict:
    (file,) = folder.glob("runs/.searches/*/results.json")
    return json.loads(file.read_text())


def numbers(told: dict) -> dict:
    return {
        (task["name"], one["name"]): one["estimate"]["value"]
        for task in told["tasks"]
        for one in task["numbers"]
    }


@pytest.mark.slow
def test_a_killed_suite_ends_as_one_that_was_not(ours, tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    code, out, err = fxformer("evaluate", *ours, folder=tmp_path / "whole")
    assert code == 0, err + out
    assert "three: left out" in out.replace("\n", " ") and "over 2 of 3 tasks" in out
    whole = results(tmp_path / "whole")
    assert [task["state"] for task in whole["tasks"]] == ["complete", "complete", "left out"]
    assert all(task["joules"] > 0 for task in whole["tasks"][:2])

    process = start("evaluate", *ours, folder=tmp_path / "killed")
    end = time.monotonic() + 300
    while not list((tmp_path / "killed").glob("runs/2*/run.json")):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    code, out, err = fxformer("evaluate", *ours, folder=tmp_path / "killed")
    assert code == 0, err + out
    killed = results(tmp_path / "killed")
    assert numbers(killed) == numbers(whole) and len(numbers(whole)) == 4
    assert killed["averages"][0]["estimate"] == whole["averages"][0]["estimate"]


@pytest.mark.slow
def test_a_strict_suite_refuses_what_the_model_cannot_do(ours, tmp_path):
    code, out, err = fxformer("evaluate", *ours, "suite.strict=true", folder=tmp_path)
    assert code == 2 and "trains seq2seq models" in err.replace("\n", " "), out
    assert not list(tmp_path.glob("runs/2*"))
