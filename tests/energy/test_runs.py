"""The ledgers of real runs: killed, resumed, crashed; sums that agree; numbers left alone."""

import json

import jax
import numpy as np
import pytest
from shell import CHAIN, DECODER, SMALL, fxformer, kill, lines, only, start, until

from fxformer.energy import host, ledger
from fxformer.energy.energy import AutoEnergy, ModelEnergy
from fxformer.launch import app
from fxformer.track.spent import account, by_sweep
from fxformer.track.store import StoredRun, runs
from tests.physics.training import ready, train

RUN = ("train", *DECODER, "trainer.steps=300", "trainer.save_every=20", "trainer.eval_every=100",
       "energy.ledger_every_seconds=0.1")  # fmt: skip


def sums_agree(totals):
    """Phases, devices and hours each hold the total."""
    for parts in (totals.by("phase"), totals.by("device"), totals.by("provenance")):
        assert sum(p.joules for p in parts.values()) == pytest.approx(totals.joules, rel=0.01)
    assert sum(totals.hours.values()) == pytest.approx(totals.joules, rel=0.01)


def test_a_run_killed_and_resumed_is_counted_whole(tmp_path):
    process = start(*RUN, folder=tmp_path)
    run = until(150, process, tmp_path)
    kill(process)
    logged = lines(run)[-1]
    (killed,) = ledger.attempts(run / "energy.jsonl").values()
    assert "final" not in killed and killed["joules"] > 0.5 * logged["joules"]
    code, _, err = fxformer("train", "resume=last", folder=tmp_path)
    assert code == 0, err
    first, second = ledger.attempts(run / "energy.jsonl").values()
    assert first["joules"] == killed["joules"] and second["final"] and second["joules"] > 0
    code, out, err = fxformer("energy", "--json", "-", folder=tmp_path)
    assert code == 0, err
    found = json.loads(out)
    assert found["joules"] == pytest.approx(first["joules"] + second["joules"])
    again = [line for line in lines(run) if line["split"] == "train"]
    assert again[-1]["joules"] == pytest.approx(found["joules"], rel=0.2)  # last steps, samples
    totals = StoredRun(run).energy()
    sums_agree(totals)
    assert {"startup", "compile", "train", "evaluate", "checkpoint"} <= set(totals.by("phase"))


def test_a_crashed_trial_of_a_sweep_stays_counted(tmp_path, monkeypatch):
    import fxformer.train.session as session

    fit, calls = session.fit, []

    def breaks(step, *args, **knobs):
        calls.append(0)

        def stepping(state, batch):
            if len(calls) == 1 and int(state.step) == 10:
                raise RuntimeError("out of luck")
            return step(state, batch)

        return fit(stepping, *args, **knobs)

    monkeypatch.setattr(session, "fit", breaks)
    words = ("model=gpt2", "objective=clm", *CHAIN, *SMALL, "trainer.steps=20", "seed=1,2")
    assert app.train(["-m", *words, f"runs={tmp_path}/runs"]) == 1
    accounts = [account(run) for run in runs(tmp_path / "runs")]
    assert [one.run.status for one in accounts] == ["failed", "done"]
    assert all(one.totals.joules > 0 for one in accounts)
    crashed = accounts[0].totals
    assert crashed.by("phase")["train"].joules > 0 and crashed.by("phase")["compile"].joules > 0
    ((_, some),) = by_sweep(accounts).items()
    assert len(some) == 2
    for one in accounts:
        sums_agree(one.totals)


def test_the_phases_of_a_run_hold_what_its_processor_did_and_change_no_bit():
    """Against processor seconds read by another hand; the same parameters as without a meter."""
    setup = ready(
        "model=gpt2", "objective=clm", *CHAIN, *SMALL, "trainer.steps=60", "trainer.eval_every=0"
    )
    energy = ModelEnergy(cpu_tdp_watts=100)
    before = host.cpu_seconds()
    meter = energy.open(accelerators=[])
    metered = train(setup, meter=meter)
    totals = meter.close()
    spent = host.cpu_seconds() - before
    watts = energy.expected_watts([], cores=1, memory=0)
    sums_agree(totals)
    assert totals.by("device")["cpu"].joules == pytest.approx(watts * spent, rel=0.01)
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
    grid = ("energy.grid_hourly=day.csv", "energy.grid_timezone=UTC", "energy.cpu_tdp_watts=100")
    size = {"energy.budget_gco2e": 3e-3, "energy.budget_kwh": 2e-5, "trainer.budget_minutes": 0.05}
    code, out, err = fxformer(*ENDLESS, *grid, f"{knob}={size[knob]}", folder=tmp_path)
    assert code == 0, err
    run = StoredRun(only(tmp_path))
    assert run.facts["reason"].startswith(f"{knob}={size[knob]:g} is spent") and knob in out
    spent = account(run)
    used = {"energy.budget_gco2e": spent.gco2e, "energy.budget_kwh": spent.kwh,
            "trainer.budget_minutes": run.lines[-1]["seconds"] / 60}  # fmt: skip
    assert used[knob] >= size[knob]
    last = run.lines[-1]["step"]
    assert [line["step"] for line in run.lines if line["split"] == "valid"] == [last]
    assert [p.name for p in (run.folder / "checkpoints").iterdir() if p.name.isdigit()]
    assert (run.folder / "grid_hourly.csv").exists() and "hourly, day.csv" in out
    (tmp_path / "day.csv").rename(tmp_path / "moved.csv")
    assert account(StoredRun(run.folder)).gco2e == spent.gco2e  # by the folder's own copy
    moved = ("energy.grid_hourly=moved.csv", "resume=last")
    code, out, err = fxformer("train", *moved, folder=tmp_path)
    assert code == 0 and "is spent" in out, err
    assert StoredRun(run.folder).lines[-1]["step"] == last
    code, out, err = fxformer("train", *moved, f"{knob}={3 * size[knob]}", folder=tmp_path)
    assert code == 0, err
    assert StoredRun(run.folder).lines[-1]["step"] > last
