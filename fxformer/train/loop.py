"""The training loop: dispatch step n, read the numbers of step n - 1, let events happen."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from fxformer.train.budget import Budget
from fxformer.train.events import Event
from fxformer.train.running import Meter, Run, Totals, Tracker
from fxformer.train.signals import Signals
from fxformer.train.state import State


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
