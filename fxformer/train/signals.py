"""SIGTERM and SIGINT: the first asks to finish the step and save, the second leaves at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

LEAVE = 130  # exit code of the second signal, the shell's for SIGINT


class Signals:
    """Context in which a first signal sets `name` and a second ends the process with code 130.

    Outside the main thread, where Python allows no handlers, and unless `heard`, it does nothing.

    doing: what is said at the first
    leave: called at the second, before the process ends
    """

    def __init__(
        self,
        doing: str = "saving",
        *,
        leave: Callable[[], None] | None = None,
        heard: bool = True,
    ) -> None:
        self.name: str | None = None
        self.doing, self.leave, self.heard = doing, leave, heard
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if self.heard and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.name is not None:
            if self.leave is not None:
                self.leave()
            if os.isatty(2):
                os.write(2, b"\x1b[?25h")  # a live display had hidden the cursor
            os._exit(LEAVE)  # threads that are saving must not hold it up
        self.name = signal.Signals(number).name
        # os.write: print is not safe in a handler that may have interrupted a print.
        words = f"\n{self.name}: {self.doing}; again to stop now\n"
        os.write(sys.__stderr__.fileno(), words.encode())
