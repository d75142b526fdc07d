"""Ctrl-C at a search: once, no more trials and the running ones save; twice, at once."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

from fxformer.train.signals import LEAVE


class Halt:
    """Context in which SIGINT or SIGTERM sets `name`; a second one calls `kill` and leaves.

    Outside the main thread, where Python allows no handlers, and unless `heard`, it does nothing.
    """

    def __init__(self, kill: Callable[[], None], *, heard: bool = True) -> None:
        self.name, self.kill, self.heard = "", kill, heard
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
        if self.name:
            self.kill()
            if os.isatty(2):
                os.write(2, b"\x1b[?25h")  # the table had hidden the cursor
            os._exit(LEAVE)
        self.name = signal.Signals(number).name
        # os.write: print is not safe in a handler that may have interrupted a print
        os.write(2, f"\n{self.name}: the running trials save; again to stop now\n".encode())
