"""Training loop and its budget: dispatch step n, read the metrics of step n - 1, call back."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from fxformer.distributed.agreement import ALONE, Agreement
from fxformer.energy.config import TDPEnergy
from fxformer.train.callbacks import Callback
from fxformer.train.loop_state import LoopState, MetricsTracker, PhaseMeter, RunTotals
from fxformer.train.signals import Signals
from fxformer.train.state import State


@dataclasses.dataclass(frozen=True)
class BudgetLimit:
    """A limit of a budget.

    option: its name in the config
    maximum: in `unit`
    used: totals -> amount used so far, in `unit`
    """

    option: str
    maximum: float
    unit: str
    used: Callable[[RunTotals], float]


@dataclasses.dataclass(frozen=True)
class Budget:
    """Limits of a run: minutes, kWh, grams of CO2 equivalent, over all attempts.

    A run stops within one step of the first limit that is reached, since metrics are read one step
    late. The last evaluation and checkpoint are not included.
    """

    limits: Sequence[BudgetLimit] = ()

    def used_share(self, totals: RunTotals) -> float:
        """Used share of the budget, that of the limit nearest to its end; 1: all of it."""
        return max((limit.used(totals) / limit.maximum for limit in self.limits), default=0.0)

    def over(self, totals: RunTotals) -> str | None:
        """Message about the limit that is reached; None if there is none."""
        for limit in self.limits:
            used = limit.used(totals)
            if used >= limit.maximum:
                return (
                    f"{limit.option}={limit.maximum:g} is used up: {used:.4g} {limit.unit} "
                    f"before the last evaluation"
                )
        return None


def budget_of(
    minutes: float | None,
    energy: TDPEnergy,
    hours: Callable[[], Mapping[int, float]] = dict,
) -> Budget:
    """Budget of a config.

    minutes: trainer.budget_minutes
    hours: () -> joules by hour, from the meter, for grids with hourly carbon intensity
    """
    kwh, grams = energy.carbon.kwh, energy.carbon.gco2e
    given = (
        ("trainer.budget_minutes", minutes, "minutes", lambda t: t.seconds / 60),
        ("energy.budget_kwh", energy.budget_kwh, "kWh", lambda t: kwh(t.joules)),
        ("energy.budget_gco2e", energy.budget_gco2e, "gCO2e", lambda t: grams(t.joules, hours())),
    )
    return Budget(
        tuple(
            BudgetLimit(option, maximum, unit, used)
            for option, maximum, unit, used in given
            if maximum is not None
        )
    )


def fit(
    step: Callable[[State, Any], tuple[State, dict]],
    state: State,
    loader: Iterable[tuple[int, Any]],
    *,
    until: int,
    tracker: MetricsTracker,
    meter: PhaseMeter,
    callbacks: Sequence[Callback] = (),
    totals: RunTotals | None = None,
    log_every: int = 1,
    budget: Budget = Budget(),
    progress: Callable[[LoopState], None] | None = None,
    put: Callable[[Any], Any] = lambda batch: batch,
    agreement: Agreement = ALONE,
) -> LoopState:
    """Train from `state.step` to step `until`.

    Returns the last loop state, whose `status`, `reason` and `code` say how the run ended.

    step: jitted (state, batch) -> (state, sums); may donate the state
    loader: yields (n, batch) for n = state.step, state.step + 1, …; the run ends when it does
    callbacks: called in this order: roll-back, evaluation, saving
    totals: those of the checkpoint of `state`
    budget: limits of the whole run, earlier attempts included
    progress: called with the loop state when the metrics of a step have been read
    put: puts a batch on the devices
    agreement: of the processes that train together, on when to stop
    Raises ValueError if the loader does not start at the step of the state.
    """
    loop = LoopState(
        state, int(state.step), totals or RunTotals(), tracker, meter, log_every, progress
    )
    loop.agreement = agreement
    batches = iter(loader) if loop.step < until else iter(())
    with Signals(limit=True) as signals, meter.phase("train"):
        loop.stop_requested = lambda: bool(agreement.settled("stop", signals.name))
        for callback in callbacks:
            callback.begin(loop)
        while loop.status is None and loop.step < until:
            if reached := agreement.settled("budget", budget.over(loop.totals)):
                loop.stop("done", reached)
                break
            batch = _next(batches, loop)
            if batch is None:
                break
            loop.advance(*step(_with_budget(loop, budget), put(batch)))
            for callback in callbacks:
                if callback.due(loop):
                    callback(loop)
                    agreement.meet()
                    loop.after_callback()
            signals.patient(3 * loop.train.get("step_seconds", 0.0))
            if name := agreement.settled("stop", signals.name):
                loop.stop("interrupted", f"{name} after step {loop.step}")
        if signals.name:
            signals.react()
        loop.stop("done", f"completed {loop.step} steps")
        loop.catch_up()
        for callback in callbacks:
            callback.finish(loop)
            agreement.meet()
    return loop


def _with_budget(loop: LoopState, budget: Budget) -> State:
    """The state with the used share of the budget, if its schedule depends on it."""
    if loop.state.budget_used is None:
        return loop.state
    share = np.float32(budget.used_share(loop.totals))
    share = jax.device_put(share, loop.state.budget_used.sharding)
    return dataclasses.replace(loop.state, budget_used=share)


def _next(batches: Any, loop: LoopState) -> Any:
    """Batch of the next step; None, and the run stops, at the end of the data."""
    with loop.waiting():
        numbered = next(batches, None)
    if numbered is None:
        loop.stop("done", f"the data ended after step {loop.step}")
        return None
    number, batch = numbered
    if number != loop.step:
        raise ValueError(f"the loader gave batch {number} for step {loop.step}: start it there")
    return batch
