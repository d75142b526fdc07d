"""SIGTERM and SIGINT: the first asks a process to save and leave, the second ends it at once.

`install` makes this hold from the start of the process to its end. Python runs a signal handler
only between two bytecodes of the main thread, so a compilation would hold it up for minutes;
therefore a thread is woken as well, and ends the process with 75 when the main thread has not
reacted within GRACE seconds. It needs the interpreter lock, which XLA, the tokenizer trainers and
file reads release.
"""

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, Self

INTERRUPTED = 75  # exit code of a first signal
LEAVE = 130  # exit code of the second signal, the shell's for SIGINT
GRACE = 20.0  # seconds from a first signal until the process ends, unless it is saving
BOTH = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """A first SIGTERM or SIGINT while nothing needs saving; its text is the signal's name."""


class Deadline:
    """The thread that ends an interrupted process whose main thread does not react.

    patience: seconds it is given
    busy: whether a checkpoint is being written, which is waited for
    leave: {name: function of the signal's name}, called before the process is ended
    """

    def __init__(self) -> None:
        self.patience, self.leave = GRACE, dict[str, Callable[[str], object]]()
        self.signalled = False  # whether there was a signal
        self.abrupt = False  # whether nothing of the process is to be taken down at its end
        self.busy: Callable[[], bool] = lambda: False
        self._reacted = threading.Event()
        self._pipe: tuple[int, int] | None = None

    def start(self) -> None:
        """Begin to listen; only in the main thread, once."""
        if self._pipe is None:
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[1], False)
            signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            threading.Thread(target=self._listen, daemon=True, name="signals").start()

    def reacted(self) -> None:
        """The main thread is saving: from now on it may take its time."""
        self._reacted.set()

    def _listen(self) -> None:
        assert self._pipe is not None
        first = ""
        while numbers := os.read(self._pipe[0], 64):
            for number in (n for n in numbers if n in BOTH):
                if first:
                    time.sleep(1.0)  # the main thread's own handler goes first
                    os._exit(LEAVE)
                first = signal.Signals(number).name
                threading.Thread(target=self._count, args=(first,), daemon=True).start()

    def _count(self, name: str) -> None:
        began = time.monotonic()
        while time.monotonic() - began < self.patience or self.busy():
            if self._reacted.wait(0.2):
                return
        self.leave_now(name)
        os._exit(INTERRUPTED)

    def leave_now(self, name: str) -> None:
        """Call all of `leave`, five seconds each at most."""
        for leave in list(self.leave.values()):
            last = threading.Thread(target=_quietly, args=(leave, name), daemon=True)
            last.start()
            last.join(5.0)


deadline = Deadline()


def _quietly(function: Callable[[str], object], name: str) -> None:
    with contextlib.suppress(BaseException):
        function(name)


def block() -> None:
    """Keep signals pending; they stay so in the process that this one executes."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, BOTH)


def install() -> None:
    """From now on a first signal raises Interrupted, and ends the process within GRACE seconds;
    what `block` kept pending is delivered. A fatal signal (a bus error: a mapped file was cut
    short) says where it happened."""
    seen: list[int] = []

    def heard(number: int, frame: FrameType | None) -> None:
        deadline.signalled = True
        if seen:
            _leave_at_once()
        seen.append(number)
        _say(f"{signal.Signals(number).name}: stopping")
        raise Interrupted(signal.Signals(number).name)

    with contextlib.suppress(Exception):  # there may be no stderr
        faulthandler.enable()
    deadline.start()
    for number in BOTH:
        signal.signal(number, heard)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BOTH)


def end(code: int) -> NoReturn:
    """End the process. After a signal nothing of it is taken down: C++ code that the signal's
    exception passed through was seen to crash then, and a thread may not end. Nor is it where other
    processes trained with it, which the runtime would wait for."""
    if not (deadline.signalled or deadline.abrupt):
        raise SystemExit(code)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


class Signals:
    """Context in which a first signal sets `name` and a second ends the process with code 130.

    Outside the main thread, where Python allows no handlers, and unless `heard`, it does nothing.

    doing: what is said at the first
    leave: called at the second, before the process ends
    limit: whether `react` must be called within `patience` seconds of the first (if `install` was
        called), or the process ends with 75
    """

    def __init__(
        self,
        doing: str = "saving",
        *,
        leave: Callable[[], None] | None = None,
        heard: bool = True,
        limit: bool = False,
    ) -> None:
        self.name: str | None = None
        self.doing, self.leave, self.heard, self.limit = doing, leave, heard, limit
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Self:
        if self.heard and threading.current_thread() is threading.main_thread():
            for number in BOTH:
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def patient(self, seconds: float) -> None:
        """Something that lasts so long is under way: wait for it, if it is longer than GRACE."""
        deadline.patience = max(GRACE, seconds)

    def react(self) -> None:
        """The signal has been noticed: what follows is saving, however long it takes."""
        deadline.reacted()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.name is not None:
            if self.leave is not None:
                self.leave()
            _leave_at_once()
        self.name, deadline.signalled = signal.Signals(number).name, True
        if not self.limit:
            self.react()
        _say(f"{self.name}: {self.doing}")


def _leave_at_once() -> None:
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")  # a live display had hidden the cursor
    os._exit(LEAVE)  # threads that are saving must not hold it up


def _say(words: str) -> None:
    # os.write: print is not safe in a handler that may have interrupted a print.
    if sys.__stderr__ is None:
        return
    with contextlib.suppress(OSError):
        os.write(sys.__stderr__.fileno(), f"\n{words}; again to stop now\n".encode())
