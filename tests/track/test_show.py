"""`fxformer show` and `fxformer runs`."""

import io

import pytest
from rich.console import Console

from fxformer.energy.ledger import Ledger
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.track.run import Run
from fxformer.track.show import list_runs, show
from tests.energy.fakes import Clock, Steady


@pytest.fixture
def root(tmp_path):
    clock = Clock()
    run = Run.create(tmp_path, "bert", config={"energy": {"region": "FRA", "pue": 1.0}})
    meter = Meter([Steady(clock, 100)], clock=clock)
    for step in range(1, 9):
        with meter.phase("train"):
            clock.go(1)
        run.log(
            step,
            "train",
            {"loss": 8.0 / step, "seconds": clock(), "tokens": 100 * step, "joules": meter.read()},
        )
    run.log(8, "valid", {"loss": 1.5, "f1_macro": 0.25, "seconds": 8.0})
    Ledger(run.folder / "energy.jsonl").close(meter)
    run.finish("done")
    Run.create(tmp_path, "empty", config={})
    return tmp_path


@pytest.mark.parametrize("width", [80, 120])
def test_a_run_is_shown_whole(root, width):
    out = io.StringIO()
    show("bert", root=root, console=Console(file=out, width=width))
    text = out.getvalue()
    for part in (
        "done, attempt 1",
        "800 tokens in 0:08",
        "train 1.0000",
        "valid 1.5000",
        "best 1.5000 at step 8",
        "f1 macro 0.25",
        "800 J = 0.000222 kWh",
        "France, 2023",
        "measured",
        "train",
        "100 %",
        "8.000",
    ):
        assert part in text, part
    assert max(map(len, text.splitlines())) <= width


def test_the_step_is_that_of_the_last_line_of_any_split(tmp_path):
    run = Run.create(tmp_path, "bert", config={})
    run.log(500, "train", {"loss": 2.0, "seconds": 1.0, "tokens": 800})
    run.log(578, "valid", {"loss": 1.5})
    out = io.StringIO()
    show("bert", root=tmp_path, console=Console(file=out, width=80))
    assert "578, 800 tokens" in out.getvalue()


def test_a_run_that_has_only_begun_is_shown(root):
    out = io.StringIO()
    show("empty", root=root, console=Console(file=out, width=80))
    assert "nothing logged yet" in out.getvalue() and "nothing in the ledger" in out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_runs_are_listed(root, tmp_path_factory, width):
    out = io.StringIO()
    list_runs(root=root, console=Console(file=out, width=width))
    text = out.getvalue()
    assert "bert" in text and "done" in text and "running" in text and "1.5000" in text
    assert max(map(len, text.splitlines())) <= width
    list_runs(root=tmp_path_factory.mktemp("none"), console=Console(file=out, width=width))
    assert "no runs in" in out.getvalue()


def test_a_folder_of_runs_that_is_not_there_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="there is no such folder"):
        list_runs(root=tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    list_runs(console=Console(file=(out := io.StringIO())))  # the default one may be missing
    assert "no runs in" in out.getvalue()
