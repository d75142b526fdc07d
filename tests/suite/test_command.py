"""`fxformer evaluate MODEL suite=`: words of its search, resuming, files; training is replaced."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fxformer.cli import app, evaluate_suite
from fxformer.cli.evaluate import evaluate
from fxformer.cli.evaluate_suite import SuiteCommand
from fxformer.cli.evaluate_task import data_options
from fxformer.dashboard.routes import answer
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.search.study import Study
from tests.suite.runs import SUITE, run, score, stored, trial

TINY = ("model=bert", "size=tiny")


@pytest.fixture
def ours(tmp_path) -> str:
    """The file of a suite of two tasks."""
    plain = SUITE.only(["one", "two"]).to_json() | {"averages": {"average": []}}
    plain["tasks"] = {name: one | {"by_architecture": {}} for name, one in plain["tasks"].items()}
    path = tmp_path / "ours.yaml"
    path.write_text(OmegaConf.to_yaml(plain))
    return f"suite={path}"


class FakeTraining:
    """Stands for app.train: the first call is interrupted after three trials."""

    def __init__(self, root: Path):
        self.root, self.calls = root, []

    def __call__(self, words: list[str], command: tuple[str, ...]) -> int:
        self.calls.append((words, command))
        name = next(w.partition("=")[2] for w in words if w.startswith("search.name="))
        trials = []
        for slot, (arm, seed) in enumerate(
            (arm, seed) for arm in ("one", "two") for seed in (0, 1)
        ):
            if slot == 3 and len(self.calls) == 1:
                break
            scores = {"accuracy": score(0.5 + slot / 10), "f1": score(0.5)}
            folder = f"r{slot}"
            if not (self.root / folder).exists():
                run(self.root, folder, scores)
            trials.append(trial(slot, arm, seed, folder))
        made = self.root / ".searches" / name
        if not (made / "study.json").exists():
            stored(self.root, [], SUITE.only(["one", "two"]))
            (self.root / ".searches" / "made" / "study.json").rename(made / "study.json")
            (made / "trials").mkdir()
            given = json.loads((made / "study.json").read_text()) | {"name": name}
            given |= {"command": [*command], "total": 4}
            (made / "study.json").write_text(json.dumps(given))
        for one in trials:
            Study.open(made).path(one.slot).write_text(json.dumps(one.to_json()))
        return app.INTERRUPTED if len(self.calls) == 1 else app.DONE


def test_an_interrupted_suite_goes_on_under_its_name(ours, tmp_path, monkeypatch, capsys):
    root = tmp_path / "runs"
    fake = FakeTraining(root)
    monkeypatch.setattr(evaluate_suite.app, "train", fake)
    argv = [ours, *TINY, f"runs={root}", "--json", str(tmp_path / "more.json")]
    with pytest.raises(SystemExit) as end:
        evaluate(argv)
    assert end.value.code == 75 and "two: partial" in capsys.readouterr().out.replace("\n", " ")
    evaluate(argv)
    first, second = fake.calls
    assert first == second and first[1] == ("evaluate", *argv)
    (folder,) = (root / ".searches").glob("ours-*")
    told = json.loads((folder / "results.json").read_text())
    assert told == json.loads((tmp_path / "more.json").read_text())
    assert [task["state"] for task in told["tasks"]] == ["complete", "complete"]
    # accuracy 50 and 60; means of 50 and 70, 50 and 80
    assert told["averages"][0]["estimate"]["value"] == pytest.approx((55 + 62.5) / 2)
    assert told["model"] == "bert-tiny" and (folder / "results.md").is_file()
    assert "<svg" in (folder / "results.html").read_text()
    (one,) = [s for s in answer(RunIndex(root), "searches", {}) if s["name"] == folder.name]
    shown = answer(RunIndex(root), "search", {"name": one["name"]})["suite"]
    assert shown["title"] == "ours: bert-tiny" and shown["rows"][0]["cells"][0] == "one"


def test_a_refused_search_leaves_nothing_behind(ours, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_suite.app, "train", lambda words, command: app.BAD)
    with pytest.raises(SystemExit) as end:
        evaluate([ours, *TINY, f"runs={tmp_path / 'runs'}"])
    assert end.value.code == 2 and not list((tmp_path / "runs" / ".searches").iterdir())


def words_of(*overrides: str, runs: str = "runs") -> tuple[list[str], str]:
    return SuiteCommand.parse(None, overrides, runs).train_words()


def test_the_words_of_a_search(ours):
    words, name = words_of(ours, *TINY, "search.workers=2", "optimizer.lr=1", "energy.region=FRA")
    assert words[0] == "-m" and "runs=runs" in words and f"search.name={name}" in words
    assert "seed=choice(0,1)" in words and "search.skip_illegal=true" in words
    assert "search.workers=2" in words and "energy.region=FRA" in words
    (arms,) = [word.replace("\\", "") for word in words if word.startswith("search.arms=")]
    assert arms.count("optimizer.lr=1") == 2 and arms.count("model=bert") == 2
    again = words_of(ours, *TINY, "optimizer.lr=1")[1]
    assert name == again != words_of(ours, *TINY, "optimizer.lr=2")[1]
    strict, _ = words_of(ours, *TINY, "suite.strict=true", "suite.seeds=1")
    assert "search.skip_illegal=false" in strict and "seed=0" in strict
    assert words_of(ours, *TINY, "search.name=mine")[1] == "mine"


@pytest.mark.parametrize(
    "overrides,said",
    [
        (("suite=mni",), "did you mean 'mini'"),
        (("suite=mini",), "give the model to fine-tune"),
        (("suite=mini", "suite.seed=3", *TINY), "did you mean 'suite.seeds'"),
        (("suite=mini", "suite.seeds=0", *TINY), "must be at least 1"),
        (("suite=mini", "suite.seeds=x", *TINY), "suite.seeds: expected int"),
        (("suite=mini", "suite.tasks=[topik]", *TINY), "did you mean 'topic'"),
        (("suite=glue", *TINY), "write data.root=FOLDER"),
        (("suite=mini", "optimizer.lr=1,2", *TINY), "a suite gives a key one value"),
    ],
)
def test_a_bad_command_is_one_sentence(overrides, said):
    with pytest.raises(UserError, match=said):
        words_of(*overrides)


@pytest.mark.parametrize(
    "argv,said",
    [
        ([], "name a model"),
        (["x", "suite=mini", "--split", "test"], "--split is for an evaluation without a suite"),
        (["x", "-o", "p.html"], "only a suite has a page"),
        (["x", "--step", "1x"], "expected a number or best"),
        (["x", "data.fils=a"], "did you mean 'data.files'"),
    ],
)
def test_words_that_make_no_sense_are_refused(argv, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        evaluate(argv)


def test_options_of_rows_are_values():
    given = ["data.files=[a.csv,b.csv]", "data.columns={text: s}", "data.header=false"]
    assert data_options(given) == {
        "files": ["a.csv", "b.csv"], "columns": {"text": "s"}, "header": False,
    }  # fmt: skip
