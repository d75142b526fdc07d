"""Callbacks of the training loop: evaluation, checkpoints, samples."""

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import jax

from fxformer.errors import UserError
from fxformer.metrics.direction import Direction, is_better
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.loop_state import LoopState, add, averages

MAX_FAILED_SAVES = 5  # consecutive failed saves before a run stops
Note = Callable[..., Any]  # (kind, **facts): records something that happened


def discard(kind: str, **facts: Any) -> None:
    """A `Note` that records nothing."""


class Callback:
    """Base of callbacks: called after every `every` steps, and `finish` once when the run ends.

    every: in steps; 0: only at the end
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def due(self, loop: LoopState) -> bool:
        """Whether to call it after this step."""
        return self.every > 0 and loop.step % self.every == 0

    def begin(self, loop: LoopState) -> None:
        """Called once before the first step: completes what an interrupted attempt left undone."""

    def __call__(self, loop: LoopState) -> None:
        """Called after a step for which `due` is true."""

    def finish(self, loop: LoopState) -> None:
        """Called once at the end; `loop.status` says how the run ended."""


class FunctionCallback(Callback):
    """Calls a function of the loop state, e.g. to draw samples; also when the run is done."""

    def __init__(self, every: int, function: Callable[[LoopState], None]) -> None:
        super().__init__(every)
        self.function = function
        self._last = -1

    def __call__(self, loop: LoopState) -> None:
        if loop.stop_requested():
            return
        loop.catch_up()
        self.function(loop)
        self._last = loop.step

    def finish(self, loop: LoopState) -> None:
        if loop.status == "done" and self._last != loop.step:
            self(loop)


class _EvaluationAborted(Exception):
    """An evaluation was aborted because the process was asked to stop."""


class Evaluate(Callback):
    """Evaluation on all validation batches, logged as split "valid"; early stopping.

    The moving average of the parameters, if there is one, is evaluated too; its metrics are named
    "ema_…". When the process is asked to stop, the evaluation is aborted, and made when
    the run is resumed.

    evaluate: jitted (params, batch) -> (sums, outputs)
    batches: validation batches on the devices, iterable repeatedly
    metric, direction: metric that decides which step is best, and whether higher is better
    patience: stop after so many consecutive evaluations without a new best; 0: never
    derive: metrics to add, as a function of the averages (perplexity, bits per byte)
    observe: called with each batch and its outputs, before `derive`
    """

    def __init__(
        self,
        every: int,
        evaluate: Callable[[Any, Any], tuple[dict, Any]],
        batches: Iterable,
        *,
        metric: str = "loss",
        direction: Direction = "minimize",
        patience: int = 0,
        derive: Callable[[dict[str, float]], dict[str, float]] = lambda numbers: {},
        observe: Callable[[Any, Any], None] | None = None,
    ) -> None:
        super().__init__(every)
        self.evaluate, self.batches, self.observe = evaluate, batches, observe
        self.metric = metric
        self.direction: Direction = direction
        self.patience, self.derive = patience, derive

    def begin(self, loop: LoopState) -> None:
        if loop.step > 0 and self.due(loop) and loop.totals.evaluated != loop.step:
            self(loop)

    def __call__(self, loop: LoopState) -> None:
        loop.catch_up()
        with loop.meter.phase("evaluate"):
            try:
                valid = self._numbers(loop, loop.state.params)
                if loop.state.ema is not None:
                    average = self._numbers(loop, loop.state.ema)
                    valid |= {f"ema_{name}": value for name, value in average.items()}
            except _EvaluationAborted:
                return
        loop.valid = valid
        loop.catch_up()  # nothing is pending: updates the clock
        loop.totals.evaluated, loop.totals.joules = loop.step, loop.meter.read()
        loop.log(loop.step, "valid", loop.valid)
        self._update_best(loop)

    def finish(self, loop: LoopState) -> None:
        if loop.status == "done" and loop.totals.evaluated != loop.step:
            self(loop)
            if loop.totals.evaluated != loop.step:
                loop.status, loop.reason = (
                    "interrupted",
                    "asked to leave before the last evaluation",
                )

    def _numbers(self, loop: LoopState, params: Any) -> dict[str, float]:
        total, pending = None, None
        for batch in self.batches:
            if loop.stop_requested():
                raise _EvaluationAborted
            pending, before = (batch, *self.evaluate(params, batch)), pending
            total = total if before is None else self._added(total, before)
        if pending is None:
            raise UserError("there is no validation batch: the held-out split is too small")
        numbers = averages(self._added(total, pending))
        return numbers | self.derive(numbers)

    def _added(self, total: Any, result: tuple[Any, Any, Any]) -> Any:
        """The total with the sums of one more batch, whose outputs are observed."""
        batch, sums, outputs = result
        if self.observe is not None and outputs is not None:
            self.observe(batch, outputs)
        return add(total, jax.device_get(sums))

    def _update_best(self, loop: LoopState) -> None:
        if self.metric not in loop.valid:
            names = ", ".join(loop.valid)
            raise UserError(f"trainer.metric={self.metric} is not evaluated; available: {names}")
        value, totals = loop.valid[self.metric], loop.totals
        if is_better(value, totals.best, self.direction):
            totals.best, totals.best_step, totals.stale = value, loop.step, 0
            return
        totals.stale += 1
        if self.patience and totals.stale >= self.patience:
            loop.stop("done", f"no better {self.metric} in {totals.stale} evaluations")


class SaveCheckpoint(Callback):
    """Saves a checkpoint every so many steps or minutes, whichever comes first, and at the end.

    Nothing is saved while updates are being skipped or a parameter is not finite, so training can
    continue from every checkpoint. A run is done only if its last state is on disk: the last save
    is retried, and if it fails the run ends as interrupted, with the reason.

    facts: further contents of the host part (run id, log positions), called at each save
    milestones: further steps at which to save
    metric, direction: as in Evaluate; they decide which checkpoint is the best
    note: called for each failed save, (kind, **facts)
    pause: seconds between attempts at the last save
    """

    def __init__(
        self,
        every: int,
        checkpoints: Checkpoints,
        *,
        minutes: float = math.inf,
        facts: Callable[[], dict] = dict,
        metric: str = "loss",
        direction: Direction = "minimize",
        milestones: Collection[int] = (),
        note: Note = discard,
        pause: float = 1.0,
    ) -> None:
        super().__init__(every)
        self.checkpoints, self.minutes, self.facts = checkpoints, minutes, facts
        self.milestones = milestones
        self.note, self.pause, self._reported = note, pause, 0
        self.metric = metric
        self.direction: Direction = direction
        self._at, self._last = time.monotonic(), -1

    def due(self, loop: LoopState) -> bool:
        planned = super().due(loop) or loop.step in self.milestones
        return planned or time.monotonic() - self._at >= 60 * self.minutes

    def begin(self, loop: LoopState) -> None:
        if (
            loop.step > 0 and super().due(loop) and loop.valid
        ):  # just evaluated: save with its metric
            self(loop)

    def __call__(self, loop: LoopState) -> None:
        loop.catch_up()
        self._at = time.monotonic()
        if not loop.train.get("streak", 0) and self._finite(loop):
            self._save(loop)
        before, self._reported = self._reported, self.checkpoints.failures
        if self._reported > before:
            self._report_failure(loop)

    def finish(self, loop: LoopState) -> None:
        if loop.status == "diverged":
            self.checkpoints.wait()
        elif not self._finite(loop):
            what = f"a parameter is not finite after step {loop.step}: it is not saved"
            loop.status, loop.reason = "diverged", what
            self.checkpoints.wait()
        elif not self._saved(loop):
            self._report_missing(loop)

    def _finite(self, loop: LoopState) -> bool:
        return math.isfinite(loop.train.get("parameter_norm", 0))

    def _save(self, loop: LoopState) -> None:
        with loop.meter.phase("checkpoint"):
            loop.totals.joules = loop.meter.read()
            host = {
                "totals": dataclasses.asdict(loop.totals),
                "data": {"next": loop.step},
            } | self.facts()
            fresh = loop.totals.evaluated == loop.step
            metric = loop.valid.get(self.metric) if fresh else None
            self.checkpoints.save(
                loop.step, loop.state, host, metric=metric, direction=self.direction
            )
        self._last = loop.step

    def _saved(self, loop: LoopState) -> bool:
        """Whether the last state is on disk, after up to three attempts."""
        for attempt in range(3):
            if attempt or self._last != loop.step:
                time.sleep(self.pause * attempt)
                self._save(loop)
            if self.checkpoints.wait() and loop.step in self.checkpoints.steps():
                return True
        return False

    def _report_failure(self, loop: LoopState) -> None:
        why = self.checkpoints.why
        self.note("checkpoint_failed", step=loop.step, failures=self._reported, why=why)
        if self._reported >= MAX_FAILED_SAVES:
            loop.stop(
                "interrupted", f"{self._reported} checkpoints in a row could not be saved: {why}"
            )

    def _report_missing(self, loop: LoopState) -> None:
        there, folder = self.checkpoints.steps(), self.checkpoints.folder
        kept = f"the newest on disk is that of step {there[-1]}" if there else "none is on disk"
        why = self.checkpoints.why or f"it is not in {folder} any more"
        what = f"the checkpoint of step {loop.step} could not be saved ({why}); {kept}"
        if loop.status == "interrupted" and loop.reason:
            what = f"{loop.reason}; {what}"
        if loop.status != "pruned":  # its search does not need its state
            loop.status, loop.reason = "interrupted", f"{what}; make room for {folder}, then resume"
        self.note(
            "checkpoint_missing", step=loop.step, newest=there[-1] if there else None, why=why
        )
