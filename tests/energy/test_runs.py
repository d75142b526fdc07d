"""The ledgers of real runs: killed, resumed, crashed; sums that agree; numbers left alone."""

import json
import os
import signal

import jax
import numpy as np
import pytest
from shell import CHAIN, DECODER, SMALL, called, facts, fxformer, kill, lines, only, start, until

from fxformer.cli import app
from fxformer.energy import host_usage, ledger
from fxformer.energy.config import AutoEnergy, TDPEnergy
from fxformer.energy.rapl import RAPL
from fxformer.track.energy_report import run_energy
from fxformer.track.run_reader import StoredRun, runs
from tests.energy.test_rapl import zone
from tests.energy.test_shared_counter import RisingCounter
from tests.physics.training import ready, train

RUN = ("train", *DECODER, "trainer.steps=60", "trainer.save_every=20", "trainer.eval_every=30",
       "energy.ledger_every_seconds=0.1")  # fmt: skip


def sums_agree(totals):
    """Phases, devices and hours each hold the total."""
    for parts in (totals.by("phase"), totals.by("device"), totals.by("provenance")):
        assert sum(p.joules for p in parts.values()) == pytest.approx(totals.joules, rel=0.01)
    assert sum(totals.hours.values()) == pytest.approx(totals.joules, rel=0.01)


@pytest.mark.slow  # one that is stopped: e2e/test_interruptions.py
def test_a_run_killed_and_resumed_is_counted_whole(tmp_path):
    process = start(*RUN, folder=tmp_path, hold=45)
    run = until(45, process, tmp_path)
    kill(process)
    logged = lines(run)[-1]
    (killed,) = ledger.attempts(run / "energy.jsonl").values()
    assert "final" not in killed and killed["joules"] > 0.5 * logged["joules"]
    code, _, err = called("train", "resume=last", folder=tmp_path)
    assert code == 0, err
    first, second = ledger.attempts(run / "energy.jsonl").values()
    assert first["joules"] == killed["joules"] and second["final"] and second["joules"] > 0
    code, out, err = called("energy", "--json", "-", folder=tmp_path)
    assert code == 0, err
    found = json.loads(out)
    assert found["joules"] == pytest.approx(first["joules"] + second["joules"])
    again = [line for line in lines(run) if line["split"] == "train"]
    assert again[-1]["joules"] == pytest.approx(found["joules"], rel=0.2)  # last steps, samples
    totals = StoredRun(run).energy()
    sums_agree(totals)
    assert {"startup", "compile", "train", "evaluate", "checkpoint"} <= set(totals.by("phase"))


@pytest.mark.slow
def test_a_run_that_crashes_stays_counted_and_lets_the_counters_go(tmp_path, monkeypatch):
    """The next run of the same process reads the machine's counter."""
    import fxformer.train.trainer as session

    rising = RisingCounter(zone(tmp_path, "intel-rapl:0", "package-0", 0))
    rising.start()
    monkeypatch.setattr("fxformer.energy.config.RAPL", lambda **k: RAPL(root=tmp_path, **k))
    monkeypatch.setattr("fxformer.energy.config.shared_folder", lambda: tmp_path)
    fit, calls = session.fit, []

    def breaks(step, *args, **knobs):
        calls.append(0)

        def stepping(state, batch):
            if len(calls) == 1 and int(state.step) == 10:
                raise RuntimeError("out of luck")
            return step(state, batch)

        return fit(stepping, *args, **knobs)

    monkeypatch.setattr(session, "fit", breaks)
    words = ("model=gpt2", "objective=clm", *CHAIN, *SMALL, "trainer.steps=20", "energy=auto",
             f"runs={tmp_path}/runs")  # fmt: skip
    assert [app.train([*words, "name=a"]), app.train([*words, "name=b"])] == [1, 0]
    rising.ended.set()
    accounts = [run_energy(run) for run in runs(tmp_path / "runs")]
    assert [one.run.status for one in accounts] == ["failed", "done"]
    crashed = accounts[0].totals
    assert crashed.by("phase")["train"].joules > 0 and crashed.by("phase")["compile"].joules > 0
    for one in accounts:
        assert one.totals.by("provenance")["measured"].joules > 10  # 0.1 s at 100 W
        sums_agree(one.totals)


@pytest.mark.slow
def test_a_trial_that_is_killed_stays_in_the_sum_of_its_search(tmp_path):
    words = (*DECODER, "trainer.steps=300", "trainer.eval_every=100", "seed=1,2",
             "energy.ledger_every_seconds=0.1")  # fmt: skip
    process = start("train", "-m", *words, folder=tmp_path)
    run = until(100, process, tmp_path, 150)
    os.kill(facts(run)["owner"]["pid"], signal.SIGKILL)
    (killed,) = ledger.attempts(run / "energy.jsonl").values()
    process.wait(240)
    code, out, err = called("energy", "--json", "-", folder=tmp_path)
    assert code == 0, err
    found, there = json.loads(out), runs(tmp_path / "runs")
    attempts = [ledger.attempts(one.folder / "energy.jsonl") for one in there]
    joules = [line["joules"] for one in attempts for line in one.values()]
    assert killed["joules"] > 0 and any(killed["attempt"] in one for one in attempts)
    assert len(joules) >= 2 and found["joules"] == pytest.approx(sum(joules))
    (search,) = found["searches"].values()
    assert search["joules"] == pytest.approx(sum(joules))


def test_the_phases_of_a_run_hold_what_its_processor_did_and_change_no_bit():
    """Against processor seconds read by another hand; the same parameters as without a meter."""
    setup = ready(
        "model=gpt2", "objective=clm", *CHAIN, *SMALL, "trainer.steps=60", "trainer.eval_every=0"
    )
    energy = TDPEnergy(cpu_tdp_watts=100)
    before = host_usage.cpu_seconds()
    meter = energy.open(accelerators=[])
    metered = train(setup, meter=meter)
    totals = meter.close()
    spent = host_usage.cpu_seconds() - before
    watts = energy.expected_watts([], cores=1, memory=0)
    sums_agree(totals)
    ticks = 0.05  # s: processor time is counted in ticks of 0.01 s
    assert totals.by("device")["cpu"].joules == pytest.approx(
        watts * spent, rel=0.01, abs=watts * ticks
    )
    plain, auto = train(setup), train(setup, meter=AutoEnergy().open(accelerators=[]))
    for other in (plain, auto):
        same = jax.tree.map(np.array_equal, metered.state.params, other.state.params)
        assert all(jax.tree.leaves(same))


ENDLESS = ("train", *DECODER, "trainer.steps=1000000", "trainer.eval_every=0",
           "trainer.save_every=1000000")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "knob", ["energy.budget_gco2e", "trainer.budget_minutes", "energy.budget_kwh"]
)
def test_each_budget_ends_a_run_evaluated_saved_and_said(knob, tmp_path):
    """Resumed within the same budget it makes no step more, for what is spent stays spent; in a
    larger one it goes on from there."""
    rows = [f"{hour},{100 + hour}" for hour in range(24)]
    (tmp_path / "day.csv").write_text("\n".join(["hour,gCO2e/kWh", *rows]))
    grid = ("energy.grid_hourly=day.csv", "energy.grid_timezone=UTC", "energy.cpu_tdp_watts=20")
    size = {"energy.budget_gco2e": 3e-3, "energy.budget_kwh": 2e-5, "trainer.budget_minutes": 0.05}
    code, out, err = fxformer(*ENDLESS, *grid, f"{knob}={size[knob]}", folder=tmp_path)
    assert code == 0, err
    run = StoredRun(only(tmp_path))
    assert run.facts["reason"].startswith(f"{knob}={size[knob]:g} is used up") and knob in out
    spent = run_energy(run)
    used = {"energy.budget_gco2e": spent.gco2e, "energy.budget_kwh": spent.kwh,
            "trainer.budget_minutes": run.lines[-1]["seconds"] / 60}  # fmt: skip
    assert used[knob] >= size[knob]
    last = run.lines[-1]["step"]
    assert [line["step"] for line in run.lines if line["split"] == "valid"] == [last]
    assert [p.name for p in (run.folder / "checkpoints").iterdir() if p.name.isdigit()]
    assert (run.folder / "grid_hourly.csv").exists() and "hourly, day.csv" in out
    (tmp_path / "day.csv").rename(tmp_path / "moved.csv")
    assert run_energy(StoredRun(run.folder)).gco2e == spent.gco2e  # by the folder's own copy
    moved = ("energy.grid_hourly=moved.csv", "resume=last")
    code, out, err = fxformer("train", *moved, folder=tmp_path)
    assert code == 0 and "is used up" in out, err
    assert StoredRun(run.folder).lines[-1]["step"] == last
    code, out, err = fxformer("train", *moved, f"{knob}={3 * size[knob]}", folder=tmp_path)
    assert code == 0, err
    assert StoredRun(run.folder).lines[-1]["step"] > last
