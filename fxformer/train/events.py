"""What happens now and then during a run: evaluation, checkpoints, rolling back, samples."""

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from fxformer.train.checkpoint import Checkpoints
from fxformer.train.running import Run, add, averages


class Event:
    """Called after every `every` steps; `finish` once when the run ends. 0: only at the end."""

    def __init__(self, every: int) -> None:
        self.every = every

    def due(self, run: Run) -> bool:
        """Whether it is time."""
        return self.every > 0 and run.step % self.every == 0

    def __call__(self, run: Run) -> None:
        """What it does."""

    def finish(self, run: Run) -> None:
        """What it does at the end; `run.status` says which end."""


class Call(Event):
    """Any function of the run: samples, for one. Also at the end of a run that came to its end."""

    def __init__(self, every: int, function: Callable[[Run], None]) -> None:
        super().__init__(every)
        self.function = function
        self._last = -1

    def __call__(self, run: Run) -> None:
        run.catch_up()
        self.function(run)
        self._last = run.step

    def finish(self, run: Run) -> None:
        if run.status == "done" and self._last != run.step:
            self(run)


class Evaluate(Event):
    """Sums over all validation batches, logged as split "valid"; keeps the best; stops early.

    evaluate: jitted (params, batch) -> sums
    batches: validation batches, placed and iterable again and again
    metric: the number that decides which step is best, the smaller the better
    patience: stop after so many evaluations in a row without a new best; 0: never
    derive: adds numbers to the averages (perplexity, bits per byte)
    The moving average, where there is one, is evaluated too: its numbers have "ema_" in front.
    """

    def __init__(
        self,
        every: int,
        evaluate: Callable[[Any, Any], dict],
        batches: Iterable,
        *,
        metric: str = "loss",
        patience: int = 0,
        derive: Callable[[dict[str, float]], dict[str, float]] = lambda numbers: {},
    ) -> None:
        super().__init__(every)
        self.evaluate, self.batches = evaluate, batches
        self.metric, self.patience, self.derive = metric, patience, derive

    def __call__(self, run: Run) -> None:
        run.catch_up()
        with run.meter.phase("evaluate"):
            run.valid = self._numbers(run.state.params)
            if run.state.ema is not None:
                average = self._numbers(run.state.ema)
                run.valid |= {f"ema_{name}": value for name, value in average.items()}
        run.catch_up()  # nothing is pending: brings the clock up to date
        run.totals.evaluated, run.totals.joules = run.step, run.meter.read()
        run.log(run.step, "valid", run.valid)
        self._judge(run)

    def finish(self, run: Run) -> None:
        if run.status == "done" and run.totals.evaluated != run.step:
            self(run)

    def _numbers(self, params: Any) -> dict[str, float]:
        total, pending = None, None
        for batch in self.batches:
            pending, before = self.evaluate(params, batch), pending
            total = total if before is None else add(total, jax.device_get(before))
        if pending is None:
            raise ValueError("there is no validation batch: the held-out split is too small")
        numbers = averages(add(total, jax.device_get(pending)))
        return numbers | self.derive(numbers)

    def _judge(self, run: Run) -> None:
        if self.metric not in run.valid:
            names = ", ".join(run.valid)
            raise ValueError(f"trainer.metric={self.metric} is not evaluated; there are {names}")
        value, totals = run.valid[self.metric], run.totals
        if totals.best is None or value < totals.best:
            totals.best = value if math.isfinite(value) else totals.best
            totals.best_step, totals.stale = run.step, 0
            return
        totals.stale += 1
        if self.patience and totals.stale >= self.patience:
            run.stop("done", f"no better {self.metric} in {totals.stale} evaluations")


class Save(Event):
    """A checkpoint every so many steps or minutes, whichever comes first, and at the end.

    Nothing is saved while updates are being refused or a parameter is not finite: a checkpoint is
    always a state one can go on from.

    facts: what else belongs into the host part (config hash, tracker id), asked at each save
    milestones: further steps at which to save
    metric: as of Evaluate; decides which checkpoint is the best
    """

    def __init__(
        self,
        every: int,
        checkpoints: Checkpoints,
        *,
        minutes: float = math.inf,
        facts: Callable[[], dict] = dict,
        metric: str = "loss",
        milestones: Collection[int] = (),
    ) -> None:
        super().__init__(every)
        self.checkpoints, self.minutes, self.facts = checkpoints, minutes, facts
        self.milestones = milestones
        self.metric, self._at, self._last = metric, time.monotonic(), -1

    def due(self, run: Run) -> bool:
        planned = super().due(run) or run.step in self.milestones
        return planned or time.monotonic() - self._at >= 60 * self.minutes

    def __call__(self, run: Run) -> None:
        run.catch_up()
        self._at = time.monotonic()
        if run.train.get("streak", 0) or not math.isfinite(run.train.get("parameter_norm", 0)):
            return
        with run.meter.phase("checkpoint"):
            run.totals.joules = run.meter.read()
            host = {
                "totals": dataclasses.asdict(run.totals),
                "data": {"next": run.step},
            } | self.facts()
            fresh = run.totals.evaluated == run.step
            metric = run.valid.get(self.metric) if fresh else None
            self.checkpoints.save(run.step, run.state, host, metric=metric)
        self._last = run.step

    def finish(self, run: Run) -> None:
        if run.status != "diverged" and self._last != run.step:
            self(run)
        if not self.checkpoints.wait():  # the last one: try once more, and say so if it fails
            self(run)
            self.checkpoints.wait()


class RollBack(Event):
    """After `streak` refused updates in a row, back to the last checkpoint's numbers; then stop.

    Only params, optimizer and average go back. The step goes on, and with it data and random keys:
    what made the run diverge is not met again.

    times: how often before the run is given up as diverged
    """

    def __init__(self, streak: int, times: int, checkpoints: Checkpoints, like: Any) -> None:
        super().__init__(1)
        self.streak, self.times, self.checkpoints, self.like = streak, times, checkpoints, like

    def due(self, run: Run) -> bool:
        if run.status is not None:
            return False
        broken = not math.isfinite(run.train.get("parameter_norm", 0))
        return broken or run.train.get("streak", 0) >= self.streak

    def __call__(self, run: Run) -> None:
        run.catch_up()
        what = f"{run.train['streak']:.0f} updates in a row were not finite by step {run.step}"
        if run.totals.rollbacks >= self.times:
            return run.stop("diverged", f"{what}, after {run.totals.rollbacks} roll-backs")
        self.checkpoints.wait()
        found = self.checkpoints.restore(self.like)
        if found is None:
            return run.stop("diverged", f"{what}, and there is no checkpoint to go back to")
        run.totals.rollbacks += 1
        now = run.state
        run.state = found.state.replace(
            step=now.step, skipped=now.skipped, streak=jnp.zeros_like(now.streak)
        )
        run.train |= {"streak": 0.0, "parameter_norm": 0.0}
