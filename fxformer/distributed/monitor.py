"""Monitor of a group of processes: ends this one where another is lost, failed, or stands still.

A collective operation waits for ever for a process that is gone, and JAX's own client ends its
process by SIGABRT. So a thread renews a sign of life of this process every few tenths of the bound;
that of process 0 watches all, and says to all who is missing. Each then says one sentence, lets the
run note how it ended, and exits: with 75 (resume) where a process was lost, else with the exit code
of the one that failed.
"""

import contextlib
import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fxformer.distributed.group import ProcessGroup

RESUMABLE = 75
STACKS = "stacks"  # folder of a run with the stacks of processes that stood still
BEATS = 6  # signs of life within the bound


class PeerMonitor:
    """The thread that watches the other processes of a group.

    bound: seconds without a sign of life after which a process counts as lost
    stall: seconds without a step (or a batch of an evaluation) after which the run counts as
        stalled, once `watch` was called; None: never
    leave: called with the reason before this process is ended
    folder: of the run; stacks of all threads are written there where the run stalls
    """

    def __init__(self, group: ProcessGroup, *, bound: float, stall: float | None):
        self.group, self.bound, self.stall = group, bound, stall
        self.leave: Callable[[str], object] = lambda reason: None
        self.folder: Path | None = None
        self._seen: dict[int, tuple[int, float]] = {}  # the last sign of life, and when it came
        self._moved: float | None = None
        self._ended = threading.Lock()
        self._beats, self._judged = 0, False

    @property
    def interval(self) -> float:
        """Seconds between two signs of life."""
        return max(min(self.bound / BEATS, 5.0), 0.1)

    def start(self) -> None:
        """Begin to watch; in the main thread."""
        self._seen = dict.fromkeys(range(self.group.count), (-1, time.monotonic()))
        catch_abort(self._aborted)
        threading.Thread(target=self._run, daemon=True, name="peers").start()

    def moved(self) -> None:
        """The main thread has made a step: from now on the next one is waited for `stall`
        seconds."""
        self._moved = time.monotonic()

    def rest(self) -> None:
        """The loop has ended: what follows may last."""
        self._moved = None

    def failed(self, code: int, words: str) -> None:
        """Tell the others that this process ends with an exit code, and why."""
        with contextlib.suppress(Exception):
            self.group.set(f"ended/{self.group.index}", [code, words])
            if self.group.first:
                self._say({"process": 0, "code": code, "words": self._ended_words(0, code, words)})
                time.sleep(3 * self.interval)  # the others ask process 0

    def judge(self) -> None:
        """Before an error of the runtime counts as this process's own: wait whether another process
        is lost, which ends this one; a collective operation with it fails at once."""
        if not self.group.closed.is_set() and not self._judged:
            self._judged = True
            time.sleep(self.bound + 3 * self.interval)

    def _run(self) -> None:
        while not self.group.closed.wait(self.interval):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - whatever the connection raises
                if self.group.closed.is_set():
                    return
                self._end(RESUMABLE, f"process 0 cannot be reached ({_short(error)})")

    def _beat(self) -> None:
        self._beats += 1
        group, now = self.group, time.monotonic()
        group.set(f"alive/{group.index}", self._beats, overwrite=True)
        if self._stalled(now):
            self._say(
                {
                    "process": group.index,
                    "code": RESUMABLE,
                    "stalled": True,
                    "words": f"no step for {self.stall:.0f} s: the run stands still",
                }
            )
        elif group.first and (found := self._missing(now)):
            self._say(found)
        if verdict := group.look("verdict"):
            if group.first:
                time.sleep(3 * self.interval)  # the others read it here
            if verdict.get("stalled"):
                self.write_stacks()
            if verdict["process"] != group.index or verdict.get("stalled"):
                self._end(verdict["code"], verdict["words"])

    def _stalled(self, now: float) -> bool:
        moved = self._moved
        return self.stall is not None and moved is not None and now - moved > self.stall

    def _missing(self, now: float) -> dict[str, Any] | None:
        """The verdict on a process that has ended or gives no sign of life; None: all are there."""
        ended = {_index(key): value for key, value in self.group.folder("ended").items()}
        for process, (code, words) in ended.items():
            return {
                "process": process,
                "code": code,
                "words": self._ended_words(process, code, words),
            }
        alive = {_index(key): value for key, value in self.group.folder("alive").items()}
        for process, (beats, since) in self._seen.items():
            if alive.get(process, -1) != beats:
                self._seen[process] = (alive[process], now)
            elif now - since > self.bound:
                words = f"process {process} is lost: no sign of life for {self.bound:g} s"
                return {"process": process, "code": RESUMABLE, "words": words}
        return None

    def _ended_words(self, process: int, code: int, words: str) -> str:
        return f"process {process} has ended with exit code {code}: {words}"

    def _say(self, verdict: dict[str, Any]) -> None:
        self.group.set("verdict", verdict)  # the first counts

    def write_stacks(self) -> None:
        """Write the stacks of all threads of this process into the folder of the run."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            folder = self.folder / STACKS
            folder.mkdir(exist_ok=True)
            with (folder / f"process-{self.group.index}.txt").open("w") as file:
                faulthandler.dump_traceback(file, all_threads=True)

    def _aborted(self) -> bool:
        """SIGABRT: of JAX's client where it cannot go on without the others, or a bug."""
        if self.group.closed.is_set():
            return False
        self._end(RESUMABLE, "the connection to the other processes is lost")
        return True

    def _end(self, code: int, words: str) -> None:
        if not self._ended.acquire(blocking=False):
            return
        again = "; resume=RUN goes on from the newest checkpoint" if code == RESUMABLE else ""
        sentence = f"fxformer: process {self.group.index} ends: {words}{again}\n"
        with contextlib.suppress(OSError):
            os.write(2, sentence.encode())
        last = threading.Thread(target=_quietly, args=(self.leave, words), daemon=True)
        last.start()
        last.join(5.0)
        os._exit(code)


_kept: list[Any] = []  # a handler that C calls must not be collected


def catch_abort(act: Callable[[], bool]) -> None:
    """Call `act` at SIGABRT; where it returns False the process aborts.

    Python's own handlers would run in the main thread only, which may wait for ever.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    libc.signal.restype = ctypes.c_void_p

    def handler(number: int) -> None:
        if not act():
            libc.signal(signal.SIGABRT, None)  # the default: return, and abort() ends the process

    _kept.append(ctypes.CFUNCTYPE(None, ctypes.c_int)(handler))
    libc.signal(signal.SIGABRT, _kept[-1])


def _index(key: str) -> int:
    return int(key.rsplit("/", 1)[1])


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _quietly(function: Callable[[str], object], words: str) -> None:
    with contextlib.suppress(BaseException):
        function(words)
