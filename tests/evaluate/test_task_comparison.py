"""fxformer compare of labelled tasks: seeds are averaged, signatures kept apart."""

import json

import numpy as np
import pytest
from scipy import stats

from fxformer.errors import UserError
from fxformer.evaluate.compare import main
from fxformer.metrics.calibration import CalibrationError
from fxformer.metrics.classification import Accuracy
from fxformer.metrics.results import MetricResults
from fxformer.track.evaluations import StoredEvaluation
from fxformer.track.run import Run


def judged(root, name, seed, right, *, lr=0.1, bins=10, task=True, ended=True):
    """A run that classifies `right` of 40 rows correctly."""
    config = {"seed": seed, "name": name, "optimizer": {"lr": lr}, "model": {}}
    config |= {"task": {"_target_": "x"}} if task else {}
    facts = {"data": {"corpus_hash": "a", "tokenizer_hash": "b"}}
    run = Run.create(root, name, config=config, facts=facts, argv=["fxformer", "train"])
    if ended:
        labels = np.arange(40) % 2
        logits = np.eye(2)[np.where(np.arange(40) < right, labels, 1 - labels)]
        results = MetricResults([Accuracy(), CalibrationError(bins=bins)], logits, labels)
        found = StoredEvaluation.of({"": results}, 1).facts()
        run.update(evaluation={"valid": found, "test": found})
    run.finish("done" if ended else "interrupted", "")
    return run.folder


def test_several_seeds_give_the_mean_and_the_interval_of_scipy(tmp_path, capsys):
    rights, root = (30, 33, 35, 28, 34), tmp_path / "runs"
    folders = [judged(root, f"s{n}", n, right) for n, right in enumerate(rights)]
    single = judged(root, "other", 0, 20, lr=0.2)
    names = [str(folder) for folder in (*folders, single)]
    main([*names, f"runs={root}", "--json", str(tmp_path / "c.json")])
    found = json.loads((tmp_path / "c.json").read_text())
    seeds, alone = found["groups"]
    assert seeds["seeds"] == [0, 1, 2, 3, 4] and alone["runs"] == [single.name]
    values = np.array(rights) / 40
    (key,) = [c["key"] for c in found["columns"] if (c["split"], c["name"]) == ("test", "accuracy")]
    low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert seeds["scores"][key] == pytest.approx(
        {"value": values.mean(), "low": low, "high": high, "n": 5}
    )
    assert alone["scores"][key]["n"] == 1 and alone["scores"][key]["low"] < 0.5
    said = capsys.readouterr().out
    assert "s0, 5 seeds" in said and "Student's t" in said and "bootstrap" in said
    assert not (root / ".compared").exists()


def test_other_settings_and_signatures_are_not_averaged(tmp_path):
    root = tmp_path / "runs"
    names = [str(judged(root, "a", 0, 30)), str(judged(root, "b", 1, 30, bins=15))]
    found = main([*names, f"runs={root}"])
    titles = [column.title for column in found.columns if column.split == "test"]
    assert titles == ["test accuracy", "test ece [bins:10]", "test ece [bins:15]"]
    (group,) = found.groups  # seeds 0 and 1 of one config
    assert {key.split("|")[0] for key in group.cells} == {"valid/accuracy", "test/accuracy"}
    other = main([*names, str(judged(root, "c", 2, 30, lr=0.3)), f"runs={root}"])
    assert [len(one.runs) for one in other.groups] == [2, 1]


def test_runs_that_cannot_be_compared_are_named(tmp_path):
    root = tmp_path / "runs"
    first = judged(root, "a", 0, 30)
    text = judged(root, "b", 0, 30, task=False)
    begun = judged(root, "c", 0, 30, ended=False)
    with pytest.raises(UserError, match="-a was trained on labelled rows and .*-b was not"):
        main([str(first), str(text), f"runs={root}"])
    with pytest.raises(UserError, match=r"-c \(interrupted\) has no stored evaluation"):
        main([str(first), str(begun), f"runs={root}"])
