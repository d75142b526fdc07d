"""Training loop and its budget: dispatch step n, read the metrics of step n - 1, call back."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from fxformer.energy.config import TDPEnergy
from fxformer.train.callbacks import Event
from fxformer.train.loop_state import Meter, Run, Totals, Tracker
from fxformer.train.signals import Signals
from fxformer.train.state import State


@dataclasses.dataclass(frozen=True)
class BudgetLimit:
    """knob: as the config calls it; most: how much; used: totals -> how much so far, same unit."""

    knob: str
    most: float
    unit: str
    used: Callable[[Totals], float]


@dataclasses.dataclass(frozen=True)
class Budget:
    """A run ends as soon as one of its limits is reached: within a step of it, since numbers are
    read one step late. What the last evaluation and checkpoint use comes on top."""

    limits: Sequence[BudgetLimit] = ()

    def share(self, totals: Totals) -> float:
        """How much of the budget is spent: of the limit nearest to its end. 1: all of it."""
        return max((limit.used(totals) / limit.most for limit in self.limits), default=0.0)

    def over(self, totals: Totals) -> str | None:
        """Which limit is reached, in words."""
        for limit in self.limits:
            used = limit.used(totals)
            if used >= limit.most:
                return (
                    f"{limit.knob}={limit.most:g} is spent: {used:.4g} {limit.unit} "
                    f"before the last evaluation"
                )
        return None


def budget_of(
    minutes: float | None,
    energy: TDPEnergy,
    hours: Callable[[], Mapping[int, float]] = dict,
) -> Budget:
    """The limits that a config gives. hours: of a meter, for a grid known by the hour"""
    kwh, grams = energy.carbon.kwh, energy.carbon.gco2e
    given = (
        ("trainer.budget_minutes", minutes, "minutes", lambda t: t.seconds / 60),
        ("energy.budget_kwh", energy.budget_kwh, "kWh", lambda t: kwh(t.joules)),
        ("energy.budget_gco2e", energy.budget_gco2e, "gCO2e", lambda t: grams(t.joules, hours())),
    )
    return Budget(tuple(BudgetLimit(*one) for one in given if one[1] is not None))


def fit(
    step: Callable[[State, Any], tuple[State, dict]],
    state: State,
    loader: Iterable[tuple[int, Any]],
    *,
    until: int,
    tracker: Tracker,
    meter: Meter,
    events: Sequence[Event] = (),
    totals: Totals | None = None,
    log_every: int = 1,
    budget: Budget = Budget(),
    progress: Callable[[Run], None] | None = None,
    put: Callable[[Any], Any] = lambda batch: batch,
) -> Run:
    """Trains from `state.step` to `until` steps and returns the run, whose `status`, `reason` and
    `code` say how it ended and whose `state` and `totals` are the last.

    step: jitted (state, batch) -> (state, sums). It may donate the state
    loader: yields (n, batch) for n = state.step, state.step + 1, …; the run ends with it
    events: in the order in which they are to happen: roll-back, evaluation, saving
    totals: those of the checkpoint that `state` is from
    budget: what the run may use as a whole, earlier attempts included
    progress: called with the run after each step's numbers have been read
    put: places a batch on the devices
    Raises ValueError when the loader is not at the state's step.
    """
    run = Run(state, int(state.step), totals or Totals(), tracker, meter, log_every, progress)
    batches = iter(loader) if run.step < until else iter(())
    with Signals(limit=True) as signals, meter.phase("train"):
        run.asked = lambda: bool(signals.name)
        for event in events:
            event.begin(run)
        while run.status is None and run.step < until:
            if spent := budget.over(run.totals):
                run.stop("done", spent)
                break
            batch = _next(batches, run)
            if batch is None:
                break
            run.advance(*step(_paced(run, budget), put(batch)))
            for event in events:
                if event.due(run):
                    event(run)
                    run.happened()
            signals.patient(3 * run.train.get("step_seconds", 0.0))
            if signals.name:
                run.stop("interrupted", f"{signals.name} after step {run.step}")
        if signals.name:
            signals.react()
        run.stop("done", f"{run.step} steps are done")
        run.catch_up()
        for event in events:
            event.finish(run)
    return run


def _paced(run: Run, budget: Budget) -> State:
    """The state, told how much of the budget is spent where its schedule asks for that."""
    if run.state.spent is None:
        return run.state
    share = np.float32(budget.share(run.totals))
    return run.state.replace(spent=jax.device_put(share, run.state.spent.sharding))


def _next(batches: Any, run: Run) -> Any:
    """The batch of the step to come, or None (and the run stopped) at the end of the data."""
    with run.waiting():
        numbered = next(batches, None)
    if numbered is None:
        run.stop("done", f"the data ended after step {run.step}")
        return None
    number, batch = numbered
    if number != run.step:
        raise ValueError(f"the loader gave batch {number} for step {run.step}: start it there")
    return batch
