"""Runs as CSV and Parquet: every number, under its name, and no secret."""

import csv
import json
import math

import pytest

from fxformer.__main__ import main
from fxformer.track import export
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
