"""A budget ends a run within a step of it, and a schedule can stretch over it."""

import pytest
from tiny_training import Meter, Parts, Tracker, batch, batches

from fxformer.energy.config import TDPEnergy
from fxformer.train.callbacks import SaveCheckpoint
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.evaluation import Evaluate
from fxformer.train.loop import Budget, BudgetLimit, budget_of, fit
from fxformer.train.loop_state import RunTotals
from fxformer.train.optim import SGD
from fxformer.train.schedule import LinearDecay


class Burning(Meter):
    """5 J for every look at it."""

    def read(self):
        self.joules += 5
        return self.joules


def joules(most: float) -> Budget:
    return Budget((BudgetLimit("energy.budget_kwh", most, "J", lambda totals: totals.joules),))


def go(toy, budget, *, callbacks=(), totals=None, state=None, until=1000):
    state, tracker = toy.state if state is None else state, Tracker()
    run = fit(
        toy.step,
        state,
        batches(int(state.step)),
        until=until,
        tracker=tracker,
        meter=Burning(),
        callbacks=callbacks,
        totals=totals,
        budget=budget,
    )
    return run, tracker


def test_limits_are_in_the_units_of_their_knobs():
    energy = TDPEnergy(pue=1.2, grid_gco2e_per_kwh=100.0, budget_kwh=2.0, budget_gco2e=50.0)
    budget = budget_of(30.0, energy)
    spent = RunTotals(joules=1.8e6, seconds=600)  # 0.5 kWh at the wall plug, 0.6 with the building
    assert [limit.used(spent) for limit in budget.limits] == pytest.approx([10, 0.6, 60])
    assert budget.used_share(spent) == pytest.approx(1.2)
    assert budget.over(spent).startswith("energy.budget_gco2e=50 is used up: 60 gCO2e")
    assert budget_of(None, TDPEnergy()).over(spent) is None


def test_grams_of_a_budget_are_those_of_the_hours_they_were_used_in(tmp_path):
    rows = [f"{hour},{500 if hour < 12 else 100}" for hour in range(24)]
    (tmp_path / "day.csv").write_text("\n".join(["hour,gCO2e/kWh", *rows]))
    file = str(tmp_path / "day.csv")
    energy = TDPEnergy(grid_hourly=file, grid_timezone="UTC", budget_gco2e=60.0)
    spent, hours = RunTotals(joules=3.6e5), {}
    budget = budget_of(None, energy, lambda: hours)
    hours |= {12: 3.6e5}
    assert budget.used_share(spent) == pytest.approx(10 / 60)
    hours |= {12: 0.0, 11: 3.6e5}
    assert budget.used_share(spent) == pytest.approx(50 / 60)


def test_a_run_ends_within_a_step_evaluates_and_saves(tmp_path):
    toy = Parts()
    steady, _ = go(toy, joules(1e9), until=40)
    each = steady.totals.joules / 40
    checkpoints = Checkpoints(tmp_path)
    callbacks = [Evaluate(0, toy.evaluate, [batch(100)]), SaveCheckpoint(0, checkpoints)]
    run, tracker = go(toy, joules(20 * each), callbacks=callbacks)
    assert run.status == "done" and "energy.budget_kwh" in run.reason
    assert 19 <= run.step <= 22
    assert [line["step"] for line in tracker.of("valid")] == [run.step]
    assert checkpoints.steps() == [run.step]


def test_a_spent_budget_allows_no_step_more():
    run, tracker = go(Parts(), joules(100), totals=RunTotals(joules=100.0))
    assert run.step == 0 and run.status == "done" and not tracker.of("train")


def test_the_learning_rate_falls_with_the_budget_and_goes_on_falling_after_a_resume(tmp_path):
    optimizer, schedule = SGD(lr=0.5), LinearDecay()
    knobs = {"schedule": schedule, "until": 10**6, "rate": optimizer.rate(schedule(10**6))}
    toy = Parts(optimizer, with_budget=True, **knobs)
    first, tracker = go(toy, joules(800), until=20)
    rates = [line["learning_rate"] for line in tracker.of("train")]
    assert len(rates) == 20 and rates[0] == 0.5
    assert all(late < early for early, late in zip(rates[1:], rates[2:], strict=False))
    second, tracker = go(toy, joules(800), totals=first.totals, state=first.state)
    after = [line["learning_rate"] for line in tracker.of("train")]
    assert after[0] < rates[-1] and after[-1] < 0.05
    assert second.totals.joules >= 800


def test_without_a_budget_the_state_is_as_it_was():
    assert Parts().state.budget_used is None and Parts(with_budget=True).state.budget_used == 0
