"""Callbacks of the training loop: their base class, functions, checkpoints."""

import dataclasses
import math
import time
from collections.abc import Callable, Collection
from typing import Any

from fxformer.metrics.direction import Direction
from fxformer.train.checkpoint import Checkpoints
from fxformer.train.loop_state import LoopState

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


class SaveCheckpoint(Callback):
    """Saves a checkpoint every so many steps or minutes, whichever comes first, and at the end.

    Nothing is saved while updates are being skipped or a parameter is not finite, so training can
    continue from every checkpoint. A run is done only if its last state is on disk: the last save
    is retried, and if it fails the run ends as interrupted, with the reason.

    facts: further contents of the host part (run id, log positions), called at each save
    milestones: further steps at which to save
    new_best: save at each new best evaluation too
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
        new_best: bool = False,
        note: Note = discard,
        pause: float = 1.0,
    ) -> None:
        super().__init__(every)
        self.checkpoints, self.minutes, self.facts = checkpoints, minutes, facts
        self.milestones, self.new_best = milestones, new_best
        self.note, self.pause, self._reported = note, pause, 0
        self.metric = metric
        self.direction: Direction = direction
        self._at, self._last = time.monotonic(), -1

    def due(self, loop: LoopState) -> bool:
        totals = loop.totals
        best = self.new_best and totals.evaluated == totals.best_step == loop.step
        if super().due(loop) or loop.step in self.milestones or best:
            return True
        late = time.monotonic() - self._at >= 60 * self.minutes
        return loop.agreement.settled("save", "late" if late else None) is not None

    def begin(self, loop: LoopState) -> None:
        best = self.new_best and loop.totals.best_step == loop.step
        if loop.step > 0 and (super().due(loop) or best) and loop.valid:
            self(loop)  # just evaluated: save with its metric

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
            if fresh and metric is None and loop.totals.best_step == loop.step:
                metric = loop.totals.best  # evaluated by an earlier attempt
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
            if self.checkpoints.wait() and loop.step in self.checkpoints.agreed_steps():
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
