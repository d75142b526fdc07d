"""What a run is made of while it runs: its state, its totals, and the last numbers read of it."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import numpy as np

from fxformer.train.state import State

CODES = {"done": 0, "pruned": 0, "interrupted": 75, "diverged": 3}  # pruned: by a search


class Tracker(Protocol):
    """Takes a line of numbers."""

    def log(self, step: int, split: str, metrics: dict[str, float]) -> None: ...


class Meter(Protocol):
    """Counts joules by phase. `read` gives those so far, earlier attempts of the run included."""

    def read(self) -> float: ...

    def phase(self, name: str) -> contextlib.AbstractContextManager: ...


@dataclasses.dataclass
class Totals:
    """What the host counts over all attempts of a run; lies in every checkpoint.

    seconds: in the loop, evaluation included
    waited: of them, waiting for data
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
class Pace:
    """What steps took: their number, seconds, seconds of waiting for data, tokens."""

    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    tokens: float = 0.0

    def add(self, seconds: float, waited: float, tokens: float) -> None:
        """One more step."""
        self.steps, self.seconds = self.steps + 1, self.seconds + seconds
        self.waited, self.tokens = self.waited + waited, self.tokens + tokens

    def means(self) -> dict[str, float]:
        """A step's seconds and waiting, and the tokens of a second."""
        return {
            "step_seconds": self.seconds / self.steps,
            "tokens_per_second": self.tokens / max(self.seconds, 1e-9),
            "data_wait_seconds": self.waited / self.steps,
        }


@dataclasses.dataclass
class Run:
    """A fit in progress: what events see, and may change through `stop` and `state`.

    step: steps dispatched; `state` is that after them, perhaps still being computed
    train: numbers of the last step read (one behind `step` unless `catch_up` was called); its
        speeds are means over the steps since the last line of the log
    valid: numbers of the last evaluation
    status: None while it runs, then a key of CODES; `reason` in words
    asked: whether the process was asked to leave: what takes long and can be cut short should be
    """

    state: State
    step: int
    totals: Totals
    tracker: Tracker
    meter: Meter
    log_every: int = 1
    progress: Callable[["Run"], None] | None = None
    train: dict[str, float] = dataclasses.field(default_factory=dict)
    valid: dict[str, float] = dataclasses.field(default_factory=dict)
    read: int = 0
    status: str | None = None
    reason: str = ""
    asked: Callable[[], bool] = lambda: False
    _pending: tuple[int, Any, float] | None = None
    _began: float = dataclasses.field(default_factory=time.perf_counter)
    _last: float = dataclasses.field(default_factory=time.perf_counter)
    _before: float = 0.0
    _since: Pace = dataclasses.field(default_factory=Pace)
    _wait: float = 0.0

    def __post_init__(self) -> None:
        self._before, self.read = self.totals.seconds, self.step

    @property
    def code(self) -> int:
        """The exit code of the process."""
        return CODES[self.status or "done"]

    def stop(self, status: str, reason: str) -> None:
        """Ends the run after the events of this step. The first call counts."""
        if self.status is None:
            self.status, self.reason = status, reason

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Time inside counts as waiting for data."""
        began = time.perf_counter()
        with self.meter.phase("data"):
            yield
        self._wait = time.perf_counter() - began
        self.totals.waited += self._wait

    def advance(self, state: State, sums: Any) -> None:
        """Takes the outcome of a dispatched step and reads the numbers of the one before."""
        before = self._pending
        self.state, self.step = state, self.step + 1
        self._pending = (self.step, sums, self._wait)
        self._digest(before)

    def catch_up(self) -> None:
        """Reads the numbers of the last step too: waits for the device."""
        before, self._pending = self._pending, None
        self._digest(before)
        self._clock()

    def happened(self) -> None:
        """After an event: its time is no step's, unless a step was computed meanwhile."""
        if self._pending is None:
            self._clock()

    def _digest(self, pending: tuple[int, Any, float] | None) -> None:
        if pending is None:
            return
        step, sums, wait = pending
        numbers = averages(jax.device_get(sums))  # the one wait for the device
        self._since.add(self._clock(), wait, numbers["tokens"])
        self.totals.tokens += int(numbers["tokens"])
        self.totals.joules = self.meter.read()
        self.train = numbers | self._since.means()
        self.read = step
        if step % self.log_every == 0:
            self.log(step, "train", self.train)
            self._since = Pace()
        if self.progress is not None:
            self.progress(self)

    def log(self, step: int, split: str, numbers: dict[str, float]) -> None:
        """One line: totals so far, then `numbers` (tokens is the total, not the step's)."""
        totals = {name: getattr(self.totals, name) for name in ("seconds", "tokens", "joules")}
        self.tracker.log(step, split, numbers | totals)

    def _clock(self) -> float:
        """Brings the total of seconds up to now; returns the seconds since the last call."""
        now = time.perf_counter()
        self.totals.seconds = self._before + now - self._began
        since, self._last = now - self._last, now
        return since


def averages(sums: dict[str, tuple[Any, Any]]) -> dict[str, float]:
    """{name: sum / weight}; NaN where nothing counted."""
    return {n: float(s) / float(w) if w else math.nan for n, (s, w) in sums.items()}


def add(left: dict | None, right: dict[str, tuple[Any, Any]]) -> dict:
    """Sums added up on the host in float64."""
    right = {n: (np.float64(s), np.float64(w)) for n, (s, w) in right.items()}
    if left is None:
        return right
    return {n: (left[n][0] + s, left[n][1] + w) for n, (s, w) in right.items()}
