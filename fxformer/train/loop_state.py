"""State of the training loop: model state, totals, the latest metrics, how the run ends."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

import jax
import numpy as np

from fxformer.distributed.agreement import ALONE, Agreement
from fxformer.metrics.results import MetricResults
from fxformer.train.state import State

Ending = Literal["done", "pruned", "interrupted", "diverged"]  # pruned: by a search
EXIT_CODES: dict[Ending, int] = {"done": 0, "pruned": 0, "interrupted": 75, "diverged": 3}


class MetricsTracker(Protocol):
    """Logs metrics of a step."""

    def log(self, step: int, split: str, metrics: dict[str, float]) -> None: ...


class PhaseMeter(Protocol):
    """Measures joules by phase; `read` returns the total, earlier attempts included."""

    def read(self) -> float: ...

    def phase(self, name: str) -> contextlib.AbstractContextManager: ...


@dataclasses.dataclass
class RunTotals:
    """Totals over all attempts of a run; saved in every checkpoint.

    seconds: time in the loop, evaluation included
    waited: seconds of these that were spent waiting for data
    best, best_step: best value of the validation metric, and its step
    stale: evaluations since the best one
    evaluated: step of the last evaluation
    """

    tokens: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    joules: float = 0.0
    restarts: int = 0
    rollbacks: int = 0
    best: float | None = None
    best_step: int | None = None
    stale: int = 0
    evaluated: int = -1


@dataclasses.dataclass
class Throughput:
    """Throughput of some steps: their number, seconds, seconds waiting for data, tokens."""

    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    tokens: float = 0.0

    def add(self, seconds: float, waited: float, tokens: float) -> None:
        """Add one step."""
        self.steps, self.seconds = self.steps + 1, self.seconds + seconds
        self.waited, self.tokens = self.waited + waited, self.tokens + tokens

    def means(self) -> dict[str, float]:
        """Mean seconds and data wait per step, and tokens per second."""
        return {
            "step_seconds": self.seconds / self.steps,
            "tokens_per_second": self.tokens / max(self.seconds, 1e-9),
            "data_wait_seconds": self.waited / self.steps,
        }


@dataclasses.dataclass
class LoopState:
    """Training in progress, as callbacks see it; they may change `state` and call `stop`.

    step: number of dispatched steps; `state` is the one after them, possibly not yet computed
    train: metrics of the last step read (one behind `step` unless `catch_up` was called); speeds
        are means over the steps since the last line of the log
    valid: metrics of the last evaluation; valid_results: those of a labelled task with what they
        were computed from, by the prefix of their names ("", "ema_")
    read: step of `train`
    status: None while it runs, then a key of EXIT_CODES; `reason`: message
    stop_requested: whether the process was asked to stop; long work should be aborted then
    agreement: of the processes that train together, on when to stop and to save
    """

    state: State
    step: int
    totals: RunTotals
    tracker: MetricsTracker
    meter: PhaseMeter
    log_every: int = 1
    progress: Callable[["LoopState"], None] | None = None
    train: dict[str, float] = dataclasses.field(default_factory=dict)
    valid: dict[str, float] = dataclasses.field(default_factory=dict)
    valid_results: dict[str, MetricResults] = dataclasses.field(default_factory=dict)
    read: int = 0
    status: Ending | None = None
    reason: str = ""
    stop_requested: Callable[[], bool] = lambda: False
    agreement: Agreement = ALONE
    _pending: tuple[int, Any, float] | None = None
    _began: float = dataclasses.field(default_factory=time.perf_counter)
    _last: float = dataclasses.field(default_factory=time.perf_counter)
    _before: float = 0.0
    _since: Throughput = dataclasses.field(default_factory=Throughput)
    _wait: float = 0.0

    def __post_init__(self) -> None:
        self._before, self.read = self.totals.seconds, self.step

    @property
    def code(self) -> int:
        """Exit code of the process."""
        return EXIT_CODES[self.status or "done"]

    def stop(self, status: Ending, reason: str) -> None:
        """Stop the run after the callbacks of this step. Only the first call counts."""
        if self.status is None:
            self.status, self.reason = status, reason

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Context whose time counts as waiting for data."""
        began = time.perf_counter()
        with self.meter.phase("data"):
            yield
        self._wait = time.perf_counter() - began
        self.totals.waited += self._wait

    def advance(self, state: State, sums: Any) -> None:
        """Take the result of a dispatched step and read the metrics of the one before."""
        before = self._pending
        self.state, self.step = state, self.step + 1
        self._pending = (self.step, sums, self._wait)
        self._process(before)

    def catch_up(self) -> None:
        """Read the metrics of the last step too; waits for the device."""
        before, self._pending = self._pending, None
        self._process(before)
        self._clock()

    def after_callback(self) -> None:
        """Exclude the time of a callback from the step time, unless a step was running."""
        if self._pending is None:
            self._clock()

    def _process(self, pending: tuple[int, Any, float] | None) -> None:
        if pending is None:
            return
        step, sums, wait = pending
        numbers = averages(jax.device_get(sums))  # the only wait for the device
        self._since.add(self._clock(), wait, numbers["tokens"])
        self.totals.tokens += int(numbers["tokens"])
        self.totals.joules = self.meter.read()
        self.train = numbers | self._since.means()
        self.read = step
        if step % self.log_every == 0:
            self.log(step, "train", self.train)
            self._since = Throughput()
        if self.progress is not None:
            self.progress(self)

    def log(self, step: int, split: str, numbers: dict[str, float]) -> None:
        """Log metrics with the totals so far (`tokens` is the total, not that of the step)."""
        totals = {name: getattr(self.totals, name) for name in ("seconds", "tokens", "joules")}
        self.tracker.log(step, split, numbers | totals)

    def _clock(self) -> float:
        """Update the total of seconds; returns the seconds since the last call."""
        now = time.perf_counter()
        self.totals.seconds = self._before + now - self._began
        since, self._last = now - self._last, now
        return since


def averages(sums: dict[str, tuple[Any, Any]]) -> dict[str, float]:
    """Averages {name: sum / weight}; NaN where the weight is 0."""
    return {n: float(s) / float(w) if w else math.nan for n, (s, w) in sums.items()}


def add(left: dict | None, right: dict[str, tuple[Any, Any]]) -> dict:
    """Add sums and weights on the host, in float64."""
    right = {n: (np.float64(s), np.float64(w)) for n, (s, w) in right.items()}
    if left is None:
        return right
    return {n: (left[n][0] + s, left[n][1] + w) for n, (s, w) in right.items()}
