"""Tables of means: runs of other seeds are one row, only differing keys are columns, no secret."""

import csv

import pytest

from fxformer.__main__ import main
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.track.mean_table import mean_table, to_csv, to_latex
from fxformer.track.run import Run


@pytest.fixture
def root(tmp_path):
    for lr, losses in ((0.1, (2.0, 2.2, 2.4)), ("0_2%", (1.0, 1.0, 1.0))):
        for seed, loss in enumerate(losses):
            config = {
                "optimizer": {"lr": lr, "name": "adamw"},
                "seed": seed,
                "api_key": f"canary-{lr}",
            }
            run = Run.create(tmp_path / "runs", "r", config=config, argv=["fxformer", "train"])
            run.finish("done", None, summary={"valid_loss": loss, "joules": 10.0 * seed})
    run = Run.create(tmp_path / "runs", "r", config={"seed": 9}, argv=["fxformer", "train"])
    run.finish("failed", "out of memory", summary={"valid_loss": 99.0})
    return tmp_path / "runs"


def test_the_csv_has_means_and_intervals_over_seeds(root, tmp_path, capsys):
    file = tmp_path / "means.csv"
    assert main(["runs", f"runs={root}", "--means", str(file), "--number", "valid_loss"]) == 0
    assert capsys.readouterr().out == ""
    first, second = csv.DictReader(file.read_text().splitlines())
    names = ["valid_loss", "valid_loss.low", "valid_loss.high", "valid_loss.n"]
    assert list(first) == ["lr", "n", *names]
    interval = ConfidenceInterval.of([2.0, 2.2, 2.4])
    given = [float(first[name]) for name in names]
    assert given == pytest.approx([interval.mean, interval.low, interval.high, 3])
    assert (first["n"], second["lr"], second["valid_loss"]) == ("3", "0_2%", "1.0")


def test_the_latex_is_a_tabular_with_escaped_values(root, tmp_path):
    file = tmp_path / "means.tex"
    assert main(["runs", f"runs={root}", "--means", str(file)]) == 0
    text = file.read_text()
    assert "lr & n & valid\\_loss & joules \\\\" in text and "\\begin{tabular}{lrrr}" in text
    assert r"0.1 & 3 & $2.20 \pm 0.50$ & $10 \pm 25$" in text
    assert r"0\_2\% & 3 & $1 \pm 0$" in text and "canary" not in text


def test_an_unknown_number_or_ending_is_refused(root, tmp_path, capsys):
    assert main(["runs", f"runs={root}", "--means", "-", "--number", "valid_los"]) == 2
    assert "did you mean 'valid_loss'" in capsys.readouterr().err
    assert main(["runs", f"runs={root}", "--means", str(tmp_path / "a.xls")]) == 2
    assert "must end in .csv or .tex" in capsys.readouterr().err


def test_numbers_that_some_runs_lack():
    table = mean_table([{"a": 1}, {"a": 2, "b": 3}], [{"x": 1.0}, {"y": 2.0}])
    assert (table.keys, table.numbers) == (("a", "b"), ("x", "y"))
    assert "1 & -- & 1 & $1$ & --" in to_latex(table)


def test_a_run_without_a_finite_number_is_told_beside_the_mean():
    numbers = [{"x": 1.0}, {"x": 3.0}, {"x": float("nan")}]
    table = mean_table([{"a": 1}] * 3, numbers)
    assert to_csv(table).splitlines()[1].startswith("3,2.0,")
    assert to_csv(table).splitlines()[1].endswith(",2")
    assert "3 & $2 \\pm 13$ (2 of 3)" in to_latex(table)
