"""What happens now and then during a run: evaluation, checkpoints, rolling back, samples."""

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from fxformer.errors import UserError
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.loop_state import Run, add, averages

FAILURES = 5  # saves in a row that may fail before a run stops: what it learns would be lost
Note = Callable[..., Any]  # (kind, **facts): puts what happened on record


def nothing(kind: str, **facts: Any) -> None:
    """Keeps no record."""


class Event:
    """Called after every `every` steps; `finish` once when the run ends. 0: only at the end."""

    def __init__(self, every: int) -> None:
        self.every = every

    def due(self, run: Run) -> bool:
        """Whether it is time."""
        return self.every > 0 and run.step % self.every == 0

    def begin(self, run: Run) -> None:
        """What an earlier attempt that was interrupted left undone at this step."""

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
        if run.asked():
            return
        run.catch_up()
        self.function(run)
        self._last = run.step

    def finish(self, run: Run) -> None:
        if run.status == "done" and self._last != run.step:
            self(run)


class _GivenUp(Exception):
    """An evaluation that was not made to its end."""


class Evaluate(Event):
    """Sums over all validation batches, logged as split "valid"; keeps the best; stops early.

    evaluate: jitted (params, batch) -> sums
    batches: validation batches, placed and iterable again and again
    metric: the number that decides which step is best, the smaller the better
    patience: stop after so many evaluations in a row without a new best; 0: never
    derive: adds numbers to the averages (perplexity, bits per byte)
    The moving average, where there is one, is evaluated too: its numbers have "ema_" in front.
    An evaluation is given up when the process is asked to leave, and made when the run goes on.
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

    def begin(self, run: Run) -> None:
        if run.step > 0 and self.due(run) and run.totals.evaluated != run.step:
            self(run)

    def __call__(self, run: Run) -> None:
        run.catch_up()
        with run.meter.phase("evaluate"):
            try:
                valid = self._numbers(run, run.state.params)
                if run.state.ema is not None:
                    average = self._numbers(run, run.state.ema)
                    valid |= {f"ema_{name}": value for name, value in average.items()}
            except _GivenUp:
                return
        run.valid = valid
        run.catch_up()  # nothing is pending: brings the clock up to date
        run.totals.evaluated, run.totals.joules = run.step, run.meter.read()
        run.log(run.step, "valid", run.valid)
        self._judge(run)

    def finish(self, run: Run) -> None:
        if run.status == "done" and run.totals.evaluated != run.step:
            self(run)
            if run.totals.evaluated != run.step:
                run.status, run.reason = "interrupted", "asked to leave before the last evaluation"

    def _numbers(self, run: Run, params: Any) -> dict[str, float]:
        total, pending = None, None
        for batch in self.batches:
            if run.asked():
                raise _GivenUp
            pending, before = self.evaluate(params, batch), pending
            total = total if before is None else add(total, jax.device_get(before))
        if pending is None:
            raise UserError("there is no validation batch: the held-out split is too small")
        numbers = averages(add(total, jax.device_get(pending)))
        return numbers | self.derive(numbers)

    def _judge(self, run: Run) -> None:
        if self.metric not in run.valid:
            names = ", ".join(run.valid)
            raise UserError(f"trainer.metric={self.metric} is not evaluated; there are {names}")
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

    At the end of a run its last state is on disk, or the run is not done: saving is tried again,
    and where that fails the run ends as interrupted, with what is missing as its reason.

    facts: what else belongs into the host part (config hash, tracker id), asked at each save
    milestones: further steps at which to save
    metric: as of Evaluate; decides which checkpoint is the best
    note: called for each save that fails, (kind, **facts)
    pause: seconds between two attempts at the last save
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
        note: Note = nothing,
        pause: float = 1.0,
    ) -> None:
        super().__init__(every)
        self.checkpoints, self.minutes, self.facts = checkpoints, minutes, facts
        self.milestones = milestones
        self.note, self.pause, self._told = note, pause, 0
        self.metric, self._at, self._last = metric, time.monotonic(), -1

    def due(self, run: Run) -> bool:
        planned = super().due(run) or run.step in self.milestones
        return planned or time.monotonic() - self._at >= 60 * self.minutes

    def begin(self, run: Run) -> None:
        if run.step > 0 and super().due(run) and run.valid:  # evaluated just now: say how good
            self(run)

    def __call__(self, run: Run) -> None:
        run.catch_up()
        self._at = time.monotonic()
        if not run.train.get("streak", 0) and self._finite(run):
            self._save(run)
        before, self._told = self._told, self.checkpoints.failures
        if self._told > before:
            self._tell(run)

    def finish(self, run: Run) -> None:
        if run.status == "diverged":
            self.checkpoints.wait()
        elif not self._finite(run):
            what = f"a parameter is not finite after step {run.step}: it is not saved"
            run.status, run.reason = "diverged", what
            self.checkpoints.wait()
        elif not self._saved(run):
            self._missing(run)

    def _finite(self, run: Run) -> bool:
        return math.isfinite(run.train.get("parameter_norm", 0))

    def _save(self, run: Run) -> None:
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

    def _saved(self, run: Run) -> bool:
        """Whether the last state is on disk, after three attempts if need be."""
        for attempt in range(3):
            if attempt or self._last != run.step:
                time.sleep(self.pause * attempt)
                self._save(run)
            if self.checkpoints.wait() and run.step in self.checkpoints.steps():
                return True
        return False

    def _tell(self, run: Run) -> None:
        why = self.checkpoints.why
        self.note("checkpoint_failed", step=run.step, failures=self._told, why=why)
        if self._told >= FAILURES:
            run.stop("interrupted", f"{self._told} checkpoints in a row could not be saved: {why}")

    def _missing(self, run: Run) -> None:
        there, folder = self.checkpoints.steps(), self.checkpoints.folder
        kept = f"the newest on disk is that of step {there[-1]}" if there else "none is on disk"
        why = self.checkpoints.why or f"it is not in {folder} any more"
        what = f"the checkpoint of step {run.step} could not be saved ({why}); {kept}"
        if run.status == "interrupted" and run.reason:
            what = f"{run.reason}; {what}"
        if run.status != "pruned":  # its search goes on without its state
            run.status, run.reason = "interrupted", f"{what}; make room for {folder}, then resume"
        self.note("checkpoint_missing", step=run.step, newest=there[-1] if there else None, why=why)


class RollBack(Event):
    """After `streak` refused updates in a row, back to the last checkpoint's numbers; then stop.

    Only params, optimizer and average go back. The step goes on, and with it data and random keys:
    what made the run diverge is not met again.

    times: how often before the run is given up as diverged
    note: called for each roll-back, also one that could not be made, (kind, **facts)
    """

    def __init__(
        self, streak: int, times: int, checkpoints: Checkpoints, like: Any, *, note: Note = nothing
    ) -> None:
        super().__init__(1)
        self.note = note
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
            return self._give_up(run, f"{what}, after {run.totals.rollbacks} roll-backs")
        self.checkpoints.wait()
        found = self.checkpoints.restore(self.like)
        if found is None:
            return self._give_up(run, f"{what}, and there is no checkpoint to go back to")
        run.totals.rollbacks += 1
        now = run.state
        run.state = found.state.replace(
            step=now.step, skipped=now.skipped, streak=jnp.zeros_like(now.streak)
        )
        run.train |= {"streak": 0.0, "parameter_norm": 0.0}
        times = run.totals.rollbacks
        self.note("rollback", step=run.step, to=found.step, why=what, rollbacks=times)

    def _give_up(self, run: Run, why: str) -> None:
        self.note("diverged", step=run.step, why=why)
        run.stop("diverged", why)
