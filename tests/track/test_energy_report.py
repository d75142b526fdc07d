"""The account of a folder of runs: nothing is left out, nothing counted twice."""

import json

import pytest
from shell import DECODER, called, facts, only

from fxformer import jsonl
from fxformer.energy.totals import EnergyEntry, EnergyTotals
from fxformer.track.commands import energy
from fxformer.track.energy_report import by_search, run_energy
from fxformer.track.run_reader import StoredRun


def ledger(folder, *attempts: dict) -> None:
    writer = jsonl.Writer(folder / "energy.jsonl")
    for number, joules in enumerate(attempts):
        entries = tuple(
            EnergyEntry(phase, "cpu", "model:cpu", "modelled", 0.4, j)
            for phase, j in joules.items()
        )
        writer.write({"attempt": str(number), **EnergyTotals(entries, {}).to_json()}, sync=False)
    writer.close()


@pytest.fixture
def root(tmp_path):
    """A done run of two attempts, and a dead one of a sweep."""
    for name, more in (("20260101-000000-a", {"status": "done"}),
                       ("20260101-000001-b", {"status": "failed", "sweep": "s1"})):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"id": name, **more}))
        (tmp_path / name / "config.yaml").write_text(
            "energy: {pue: 1.2, grid_gco2e_per_kwh: 100}\n"
        )
    first = tmp_path / "20260101-000000-a"
    ledger(first, {"train": 1000.0, "evaluate": 500.0}, {"train": 2000.0, "startup": 100.0})
    ledger(tmp_path / "20260101-000001-b", {"train": 400.0})
    lines = [
        {"step": 10, "split": "train", "tokens": 500, "loss": 3.0},
        {"step": 5, "split": "valid", "loss": 3.0},
        {"step": 10, "split": "valid", "loss": 2.5},
    ]
    (first / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_attempts_add_up_and_are_set_against_what_was_got(root):
    one = run_energy(StoredRun(root / "20260101-000000-a"))
    assert one.totals.joules == 3600
    assert one.kwh == pytest.approx(0.0012) and one.gco2e == pytest.approx(0.12)
    assert one.joules_per_token == 3000 / 500 and one.joules_per_step == 300
    assert one.kwh_per_tenth_nat == pytest.approx(0.0012 / 5)


def test_a_failed_run_stays_counted_and_sweeps_are_grouped(root, capsys):
    accounts = energy([f"runs={root}", "--json", str(root / "all.json")])
    found = json.loads((root / "all.json").read_text())
    assert found["joules"] == 4000 and sum(found["by"]["phase"].values()) == pytest.approx(4000)
    assert found["sigma"] == pytest.approx(1600)  # one model: its error is one error
    (alone,) = [one for one in found["runs"] if one["run"] == "20260101-000001-b"]
    assert found["searches"] == {"s1": {"runs": [alone["run"]]} | {
        name: alone[name] for name in ("joules", "kwh", "gco2e")}}  # fmt: skip
    assert list(by_search(accounts)) == ["s1"]
    assert [run["kwh_per_tenth_nat"] for run in found["runs"]][1] is None
    said = capsys.readouterr().out
    assert "2 runs: 4.00 kJ" in said and "search s1: 1 run (1 failed), 400 J, 133 mWh" in said


def test_a_grid_known_by_the_hour_afterwards(root):
    """A run of 1 and 2 kJ in the first two hours of 1970, PUE 1.2, at 100 and 400 g/kWh."""
    run = root / "20260101-000000-a"
    entry = EnergyEntry("train", "cpu", "model:cpu", "modelled", 0.4, 3000.0)
    line = {"attempt": "0", **EnergyTotals((entry,), {}, {0: 1000.0, 1: 2000.0}).to_json()}
    (run / "energy.jsonl").write_text(json.dumps(line) + "\n")
    rows = [f"{hour},{400 if hour == 1 else 100}" for hour in range(24)]
    (root / "day.csv").write_text("\n".join(["hour,g/kWh", *rows]))
    words = ("--hourly", str(root / "day.csv"), "--timezone", "UTC", "--json", str(root / "x.json"))
    (one,) = energy([str(run), *words])
    assert one.gco2e == pytest.approx(1.2 * (100 * 1 + 400 * 2) / 3600)
    found = json.loads((root / "x.json").read_text())
    assert found["by"]["hour"] == {"1970-01-01T00:00+00:00": 1000, "1970-01-01T01:00+00:00": 2000}
    with pytest.raises(ValueError, match="need a file"):
        energy([str(run), "--timezone", "UTC"])


def test_a_budget_and_a_sweep_from_the_command_line(tmp_path):
    words = ("trainer.steps=100000", "trainer.eval_every=0", "energy.budget_kwh=5e-6")
    code, _, err = called("train", "-m", "seed=3", *DECODER, *words, folder=tmp_path)
    assert code == 0, err
    run = only(tmp_path)
    assert "energy.budget_kwh" in facts(run)["reason"] and facts(run)["sweep"]
    code, out, err = called("energy", "--json", "-", folder=tmp_path)
    assert code == 0, err
    found = json.loads(out)
    assert found["kwh"] >= 5e-6
    assert [one["runs"] for one in found["searches"].values()] == [[run.name]]


def test_an_empty_folder_is_said(tmp_path):
    code, _, err = called("energy", "nothing", folder=tmp_path)
    assert code == 2 and "no runs" in err
