"""Trackers: the run's folder always, and mirrors of it that can neither slow nor stop the run."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from fxformer import jsonl
from fxformer.track.local import LocalTracker
from fxformer.track.run import Run
from fxformer.types import Count, Positive

_log = logging.getLogger(__name__)


class Tracker(Protocol):
    """What a mirror must do. Any call may raise or block: it happens in a thread of its own."""

    def start(self, config: Mapping[str, Any], run: Run) -> None:
        """Begin; `config` holds no secrets."""
        ...

    def log(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Numbers of one step of one split."""
        ...

    def text(self, name: str, text: str) -> None:
        """A piece of text: samples, a report."""
        ...

    def artifact(self, name: str, path: Path) -> None:
        """A file or folder worth keeping."""
        ...

    def finish(self, summary: Mapping[str, Any]) -> None:
        """End, with the run's last figures."""
        ...


class Trackers:
    """The local tracker, written at once, and any number of mirrors behind bounded queues.

    mirrors: {name: tracker}
    queue: calls that may wait for a slow mirror; what comes when it is full is dropped and counted
    finish_seconds: how long the end of a run waits for all mirrors together
    """

    def __init__(
        self,
        *,
        mirrors: Mapping[str, Tracker] | None = None,
        queue: Count = 1000,
        finish_seconds: Positive = 30.0,
    ):
        self._given, self._size, self._finish_seconds = dict(mirrors or {}), queue, finish_seconds
        self._local, self._mirrors, self._run = LocalTracker(), [], None
        self._followers: list[Callable[[int, str, Mapping[str, Any]], Any]] = []

    def start(self, run: Run) -> None:
        """Open everything; returns at once, a mirror's server is waited for in its own thread."""
        self._run = run
        self._local.start(run.config, run)
        self._mirrors = [
            _Mirror(name, tracker, self._size, run) for name, tracker in self._given.items()
        ]
        self._tell("start", run.config, run)

    def log(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Numbers of one step. They are on their way to the folder when this returns."""
        plain = jsonl.decode(jsonl.encode(dict(metrics)))
        self._local.log(step, split, plain)
        self._tell("log", step, split, plain)
        for follower in list(self._followers):
            self._show(follower, step, split, plain)

    def follow(self, follower: Callable[[int, str, Mapping[str, Any]], Any]) -> None:
        """Call `follower(step, split, metrics)` after each log, in this thread: a progress display,
        a ledger. One that raises is left out from then on."""
        self._followers.append(follower)

    def _show(self, follower: Callable, *line: Any) -> None:
        try:
            follower(*line)
        except Exception as error:  # noqa: BLE001 - a closed terminal does not stop a run
            self._followers.remove(follower)
            _log.warning(
                "%s is off after it failed (%s: %s); the run goes on",
                getattr(follower, "__qualname__", follower),
                type(error).__name__,
                error,
            )

    def text(self, name: str, text: str) -> None:
        """A piece of text; the folder keeps it as <name>.md."""
        text = self._run.redactor.text(text) if self._run else text
        self._local.text(name, text)
        self._tell("text", name, text)

    def artifact(self, name: str, path: str | Path) -> None:
        """A file or folder; the folder notes where it is."""
        self._local.artifact(name, Path(path))
        self._tell("artifact", name, Path(path))

    def finish(self, summary: Mapping[str, Any]) -> dict[str, int]:
        """End all mirrors within `finish_seconds`; {mirror: calls it missed}. Call it before
        `run.finish`, which closes the folder."""
        until = time.monotonic() + self._finish_seconds
        for mirror in self._mirrors:
            mirror.end(dict(summary))
        missed = {m.name: m.join(until - time.monotonic()) for m in self._mirrors}
        for name, count in missed.items():
            if count:
                self._local.event("tracker", name=name, dropped=count)
        self._local.finish(summary)
        return missed

    def _tell(self, method: str, *arguments: Any) -> None:
        for mirror in self._mirrors:
            mirror.put(method, arguments)


class NoTrackers(Trackers):
    """Those of a process that does not own the folder of its run: nothing is logged."""

    def start(self, run: Run) -> None:
        """Nothing."""

    def log(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Nothing: process 0 logs the same numbers."""

    def text(self, name: str, text: str) -> None:
        """Nothing."""

    def artifact(self, name: str, path: str | Path) -> None:
        """Nothing."""

    def finish(self, summary: Mapping[str, Any]) -> dict[str, int]:
        """Nothing."""
        return {}


class _Mirror:
    """One tracker, its queue and its thread. The first failure is its last call."""

    def __init__(self, name: str, tracker: Tracker, size: int, run: Run):
        self.name, self._tracker, self._run = name, tracker, run
        self._queue: queue.Queue = queue.Queue(size)
        self._failed, self.dropped = False, 0
        self._summary: dict[str, Any] | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"tracker:{name}")
        self._thread.start()

    def put(self, method: str, arguments: tuple) -> None:
        """Hand over a call, or count it as dropped."""
        if self._failed or self._ending.is_set():
            self.dropped += 1
            return
        try:
            self._queue.put_nowait((method, arguments))
        except queue.Full:
            if not self.dropped:
                _log.warning(
                    "tracker %s is too slow: some of what it should show is dropped "
                    "(metrics.jsonl has all)",
                    self.name,
                )
            self.dropped += 1

    def end(self, summary: dict[str, Any]) -> None:
        """Ask it to empty its queue, finish and stop."""
        self._summary = summary
        self._ending.set()

    def join(self, seconds: float) -> int:
        """Wait for the end; how many calls were lost. A thread that hangs is left to the exit."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            left = self._queue.qsize()
            _log.warning("tracker %s did not finish in time; it is left behind", self.name)
            return self.dropped + left + 1
        return self.dropped

    def _work(self) -> None:
        while True:
            try:
                method, arguments = self._queue.get(timeout=0.2)
            except queue.Empty:
                if not self._ending.is_set():
                    continue
                self._call("finish", (self._summary,))
                return
            self._call(method, arguments)
            if self._failed:
                self.dropped += self._queue.qsize()
                return

    def _call(self, method: str, arguments: tuple) -> None:
        call: Callable = getattr(self._tracker, method)
        try:
            call(*arguments)
        except BaseException as error:  # noqa: BLE001 - a mirror may even call sys.exit
            self._failed = True
            self.dropped += 1
            reason = self._run.redactor.text(f"{type(error).__name__}: {error}")[:300]
            _log.warning(
                "tracker %s is off after %s failed (%s); the run goes on", self.name, method, reason
            )
