"""Evaluation of a task on demand equals that of the run; labels are matched by name."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from fxformer.config.build import build
from fxformer.data.labelled.rows import Row
from fxformer.errors import UserError
from fxformer.evaluate.task_evaluation import evaluate_task
from fxformer.evaluate.task_models import with_data, with_metrics
from fxformer.hf.export_model import export_model
from fxformer.metrics.classification import Accuracy
from fxformer.task.classification import Classification
from fxformer.task.corpus import TaskCorpus
from fxformer.task.label_matching import match_labels
from fxformer.task.multiple_choice import MultipleChoice
from fxformer.task.token_classification import TokenClassification
from fxformer.track.evaluations import StoredEvaluation, evaluations_of
from fxformer.track.run_reader import StoredRun
from fxformer.train.main import main
from fxformer.train.test_split import EvaluateTest
from fxformer.warmstart.checkpoint_source import open_source
from tests.composing import composed
from tests.task.rows import TINY, rows_of, write


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A classification run with a test split, and its folder."""
    folder = tmp_path_factory.mktemp("evaluated")
    rows = {name: rows_of("classification", count, seed=seed)
            for seed, (name, count) in enumerate({"files": 40, "valid_files": 24,
                                                  "test_files": 30}.items())}  # fmt: skip
    words = [f"data.{name}={write(folder / f'{name}.jsonl', some)}" for name, some in rows.items()]
    main(composed([
        "model=bert", "task=classification", *TINY, *words, "optimizer.lr=1e-2", "energy=tdp",
        "trainer.steps=24", "trainer.eval_every=12", "trainer.metric=accuracy",
        "trainer.compile_cache=null", f"data.cache_dir={folder / 'cache'}",
        f"runs={folder / 'runs'}",
    ]))  # fmt: skip
    (made,) = [one for one in (folder / "runs").iterdir() if (one / "run.json").is_file()]
    return made, folder, rows["test_files"]


def test_it_equals_the_last_evaluation_of_the_run(run):
    stored = StoredRun(run[0])
    found = evaluate_task(run[0], "valid")
    last = [line for line in stored.lines if line["split"] == "valid"][-1]
    for name, value in (found.averages | found.results.values).items():
        assert value == pytest.approx(last[name], abs=1e-6), name
    assert found.examples == found.rows == 24 and found.tokens > 24 and found.joules > 0
    kept = stored.facts["evaluation"]["valid"]["scores"]["accuracy"]
    assert found.facts()["scores"]["accuracy"] == pytest.approx(kept)
    assert kept["low"] <= kept["value"] <= kept["high"] and kept["confidence"] == 0.95
    json.dumps(found.facts())


def test_the_test_split_is_evaluated_once_with_the_best_checkpoint(run):
    stored = StoredRun(run[0])
    (line,) = [line for line in stored.lines if line["split"] == "test"]
    kept, valid = (evaluations_of(stored.facts)[name] for name in ("test", "valid"))
    best = stored.facts["summary"]["best_step"]
    assert line["step"] == kept.step == best and kept.examples == 30 and valid.examples == 24
    found = evaluate_task(run[0], step="best")  # the test split, as there is one
    assert found.step == best and found.split.startswith("the test split")
    for name, value in kept.numbers.items():
        assert (
            value == pytest.approx(line[name]) and value == stored.facts["summary"][f"test_{name}"]
        )
        assert value == pytest.approx((found.averages | found.results.values)[name], abs=1e-6)
    assert found.scores["accuracy"] == kept.scores["accuracy"]


def test_a_checkpoint_is_evaluated_again_only_if_it_may_be_another_one():
    """known: step of the stored evaluation; best: that of the best checkpoint; kept: the step that
    a resumed run continued from."""
    for known, best, kept, again in [(5, 5, 9, False), (5, 8, 9, True), (5, 5, 4, True),
                                     (5, 5, None, True), (None, 5, 9, True)]:  # fmt: skip
        facts = {} if known is None else {"evaluation": {"test": StoredEvaluation(
            known, 3, {}, {"loss": 1.0}, []).facts()}}  # fmt: skip
        setup = SimpleNamespace(data=SimpleNamespace(packed={"test": None}), abstract_state=None)
        evaluate = EvaluateTest(setup, SimpleNamespace(agreed_best=lambda best=best: best),
                                SimpleNamespace(facts=facts, rewound=kept))  # fmt: skip
        loop = SimpleNamespace(status="done", meter=SimpleNamespace(phase=_called))
        if again:
            with pytest.raises(InterruptedError):
                evaluate.finish(loop)
        else:
            evaluate.finish(loop)


def test_evaluations_of_steps_that_are_made_again_are_dropped():
    facts = {"evaluation": {split: StoredEvaluation(step, 3, {}, {}, []).facts()
                            for split, step in (("valid", 9), ("test", 5))}}  # fmt: skip
    for kept, left in (
        (None, {"valid", "test"}),
        (9, {"valid", "test"}),
        (6, {"test"}),
        (4, set()),
    ):
        run = SimpleNamespace(facts=dict(facts), rewound=kept)
        run.update = lambda run=run, **more: run.facts.update(more)
        EvaluateTest(None, None, run).begin(None)
        assert set(run.facts["evaluation"]) == left


def _called(name):
    raise InterruptedError(name)


def test_labels_are_matched_by_name_and_by_number(run, tmp_path):
    folder, _, rows = run
    own = evaluate_task(folder, data={"files": str(write(tmp_path / "a.jsonl", rows))})
    upper = [row | {"label": row["label"].upper()} for row in rows]
    same = evaluate_task(folder, data={"files": str(write(tmp_path / "b.jsonl", upper))})
    assert same.results.values == own.results.values and "case aside" in same.remarks[0]
    numbers = [row | {"label": {"few": 1, "many": 0}[row["label"]]} for row in rows]
    turned = evaluate_task(folder, data={"files": str(write(tmp_path / "c.jsonl", numbers))})
    assert turned.results.values["accuracy"] == pytest.approx(1 - own.results.values["accuracy"])
    assert "numbers" in turned.remarks[0]
    with pytest.raises(UserError, match="'other' is not one of the 2 classes"):
        other = [*rows, {"text": "red", "label": "other"}]
        evaluate_task(folder, data={"files": str(write(tmp_path / "d.jsonl", other))})


def test_rows_of_files_replace_generated_ones():
    words = ["model=bert", "task=classification", "data=templates", "data.kind=classification"]
    cfg = with_data(composed(words), {"files": "a.csv", "columns": {"text": "b"}})
    corpus = build(cfg.data)(tokenizer=None)
    assert isinstance(corpus, TaskCorpus) and (corpus.files, corpus.columns) == (
        "a.csv",
        {"text": "b"},
    )
    assert corpus.separators == cfg.model.pair_separators and corpus.length == cfg.data.length


def test_a_metric_with_the_name_of_another_stands_in_its_place():
    task = build(composed(["model=bert", "task=question_answering"]).task)
    made = with_metrics(task, ["squad_v2", "accuracy"])
    assert [one.signature().split("|")[0] for one in made.judges] == ["squad_f1", "accuracy"]
    assert made.judges[0].squad_version == "2.0"


def test_tasks_report_permuted_labels_and_collapse_by_name():
    names, wanted = ("neg", "pos"), np.arange(40) % 2
    task = Classification(labels=names, metrics=[Accuracy()])
    (said,) = task.judged(np.eye(2)[1 - wanted], wanted).remarks
    assert said.startswith("accuracy 0.0 %, with labels permuted 100.0 %") and "neg → pos" in said
    (said,) = task.judged(np.tile([0.0, 1.0], (40, 1)), wanted).remarks
    assert said.startswith("collapsed: class pos is predicted for 100.0 %")
    assert task.judged(np.full((40, 2), np.nan), wanted).remarks == []
    words = TokenClassification(labels=("NOUN", "VERB"))  # O: a word that has no token
    (said,) = words.diagnosis([["VERB", "NOUN", "O"]] * 20, [["NOUN", "VERB", "VERB"]] * 20)
    assert "permuted 100.0 %" in said and "NOUN → VERB" in said
    choices = MultipleChoice(metrics=[Accuracy()])
    (said,) = choices.judged(np.eye(3)[np.zeros(30, int)], np.arange(30) % 3).remarks
    assert said.startswith("collapsed: class number 0 is predicted for 100.0 %")


def test_an_exported_folder_has_the_same_numbers_and_further_metrics(run, tmp_path):
    folder, _, rows = run
    files = {"files": str(write(tmp_path / "a.jsonl", rows))}
    own = evaluate_task(folder, data=files)
    export_model(StoredRun(folder), tmp_path / "hf")
    found = evaluate_task(tmp_path / "hf", data=files, metrics=["matthews"])
    for source in (folder, tmp_path / "hf"):
        assert open_source(str(source), "runs").class_names() == ["few", "many"]
    assert found.scores["matthews"].signature.startswith("matthews|")
    for name, value in own.results.values.items():
        assert found.results.values[name] == pytest.approx(value)
    assert found.averages["nll"] == pytest.approx(own.averages["nll"], abs=1e-4)
    with pytest.raises(UserError, match="no data of its own"):
        evaluate_task(tmp_path / "hf")


def test_options_that_do_not_exist_and_data_that_changed_are_refused(run):
    folder, place, _ = run
    with pytest.raises(UserError, match="data.colums is no option .* 'columns'"):
        evaluate_task(folder, data={"colums": {}})
    file = place / "valid_files.jsonl"
    text = file.read_text()
    try:
        file.write_text(text + json.dumps({"text": "red", "label": "few"}) + "\n")
        with pytest.raises(UserError, match="have changed since"):
            evaluate_task(folder, "valid")
    finally:
        file.write_text(text)


def row(label):
    return Row({"text": "a", "label": label}, "a.csv, line 2", 0)


def test_names_decide_and_numbers_or_order_only_where_there_are_none():
    names = ("neg", "pos")
    assert match_labels([row("pos"), row("neg")], names).names == {}
    assert match_labels([row("Pos")], names).names == {"Pos": "pos"}
    assert match_labels([row(1), row("0")], names).names == {"1": "pos", "0": "neg"}
    unnamed = match_labels([row("b"), row("a")], ("LABEL_0", "LABEL_1"))
    assert unnamed.names == {"a": "LABEL_0", "b": "LABEL_1"} and "a = 0, b = 1" in unnamed.remark
    assert match_labels([row(2)], names).names == {}  # no class 2: encoding refuses it
    (made,) = match_labels([row(["1", "0"])], names).applied([row(["1", "0"])], "label")
    assert made.values["label"] == ["pos", "neg"]
