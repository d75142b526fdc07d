"""Runs as CSV and Parquet: every number, under its name, and no secret."""

import csv
import json
import math

import numpy as np
import pytest

from fxformer.__main__ import main
from fxformer.metrics.calibration import CalibrationError
from fxformer.metrics.classification import Accuracy
from fxformer.metrics.results import MetricResults
from fxformer.track import export
from fxformer.track.evaluations import StoredEvaluation
from fxformer.track.run import Run
from fxformer.track.run_reader import runs


@pytest.fixture
def root(tmp_path):
    for n, lr in enumerate((0.1, 1)):
        config = {"optimizer": {"lr": lr, "betas": [0.9, 0.95]}, "api_key": "canary-1"}
        run = Run.create(tmp_path / "runs", f"r{n}", config=config, argv=["fxformer", "train"])
        run.log(1, "train", {"loss": 2.5, "note": "no number"})
        run.log(2, "train", {"loss": math.nan, "tokens": 64})
        run.log(2, "valid", {"loss": 2.0 + n, "=odd": 1})
        run.finish("done", 'a, b\n"c"', summary={"kwh": 0.5, "best": None})
        with open(run.folder / "config.yaml", "a", encoding="utf-8") as file:
            file.write("token: canary-2\n")  # by another hand
    return tmp_path / "runs"


def rows(path):
    if path.suffix == ".csv":
        with open(path, encoding="utf-8", newline="") as file:
            return [{k: v or None for k, v in row.items()} for row in csv.DictReader(file)]
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()


def test_the_terminal_gets_the_main_columns_and_a_file_all(root, tmp_path, capsys):
    assert main(["runs", f"runs={root}", "--table", "-"]) == 0
    printed = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    main_names = ["run", "status", "started", "architecture", "parameters", "summary.best",
                  "summary.kwh", "config.optimizer.lr"]  # fmt: skip
    assert list(printed[0]) == main_names and [row["status"] for row in printed] == ["done"] * 2
    assert [row["config.optimizer.lr"] for row in printed] == ["0.1", "1"]
    assert main(["runs", f"runs={root}", "--table", str(tmp_path / "all.csv")]) == 0
    (first, _) = rows(tmp_path / "all.csv")
    assert list(first)[: len(main_names)] == main_names and "config.optimizer.betas" in first


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_metrics_come_back(root, tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"m.{ending}"
    assert export.metrics(runs(root), path) == 6
    found = rows(path)
    assert list(found[0]) == ["run", "split", "step", "=odd", "loss", "tokens"]
    assert [row["run"] for row in found] == [run.id for run in runs(root) for _ in range(3)]
    assert [float(row["loss"]) for row in found if row["split"] == "valid"] == [2.0, 3.0]
    assert math.isnan(float(found[1]["loss"])) and float(found[1]["tokens"]) == 64
    assert found[0]["tokens"] is None and int(found[2]["step"]) == 2


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_table_comes_back_without_a_secret(root, tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"t.{ending}"
    assert export.table(runs(root), path) == 2
    found = rows(path)
    assert [float(row["config.optimizer.lr"]) for row in found] == [0.1, 1.0]  # int beside float
    assert json.loads(found[0]["config.optimizer.betas"]) == [0.9, 0.95]
    assert float(found[0]["summary.kwh"]) == 0.5 and found[0]["summary.best"] is None
    assert found[0]["status"] == "done" and found[0]["reason"] == 'a, b\n"c"'
    assert b"canary" not in path.read_bytes()


def judged(root, name, bins, value):
    """A run with an ECE by `bins` and an accuracy on two splits."""
    metrics = [CalibrationError(bins=bins), Accuracy()]
    facts = {"metrics": {k: s for one in metrics for k, s in one.signatures().items()}}
    run = Run.create(root, name, config={"seed": 0}, facts=facts, argv=["fxformer", "train"])
    run.log(1, "valid", {"ece": value, "accuracy": value, "loss": 1.0})
    logits = np.log(np.array([[0.9, 0.1]] * 20))
    results = MetricResults(metrics, logits, np.arange(20) % 2)
    found = StoredEvaluation.of({"": results}, 1, {"loss": 1.0}).facts()
    run.update(evaluation={"valid": found, "test": found})
    run.finish("done", "", summary={"valid_ece": value, "valid_loss": 1.0})


def test_two_signatures_never_share_a_column(tmp_path):
    for name, bins, value in (("a", 10, 0.1), ("b", 10, 0.2), ("c", 15, 0.3)):
        judged(tmp_path / "runs", name, bins, value)
    run = Run.create(tmp_path / "runs", "d", config={"seed": 1}, argv=["fxformer"])
    run.log(1, "valid", {"accuracy": 0.4})  # of tokens: of no metric
    run.finish("done", "", summary={"valid_accuracy": 0.4})
    there = runs(tmp_path / "runs")
    assert export.metrics(there, tmp_path / "m.csv") == 4
    found = rows(tmp_path / "m.csv")
    signed = "accuracy [library:fxformer, version:1]"
    assert set(found[0]) == {"run", "split", "step", "loss", "ece [bins:10]", "ece [bins:15]",
                             "accuracy", signed}  # fmt: skip
    assert [row["ece [bins:10]"] for row in found] == ["0.1", "0.2", None, None]
    assert [row["accuracy"] for row in found] == [None, None, None, "0.4"]
    export.table(there, tmp_path / "t.csv")
    table = rows(tmp_path / "t.csv")
    for split in ("valid", "test"):
        assert [row[f"scores.{split}.ece [bins:15]"] is None for row in table] == [1, 1, 0, 1]
        low, value, high = (float(table[0][f"scores.{split}.accuracy{part}"])
                            for part in (".low", "", ".high"))  # fmt: skip
        assert 0 <= low < value == 0.5 < high <= 1
    assert "summary.valid_ece" not in table[0] and float(table[3]["summary.valid_accuracy"]) == 0.4


def test_the_verb_writes_both_and_refuses_another_ending(root, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["runs", "--table", "t.csv", "--metrics", "m.csv"]) == 0
    assert "2 rows: t.csv" in capsys.readouterr().out
    assert len(rows(tmp_path / "m.csv")) == 6
    assert main(["runs", "--table", "t.xlsx"]) == 2
    assert "must end in .csv or .parquet" in capsys.readouterr().err


def test_without_pyarrow_the_pip_line_is_said(root, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ValueError, match="pip install"):
        export.metrics(runs(root), tmp_path / "m.parquet")
