"""A progress line for work that turns out to be long; nothing at all for work that does not."""

import time


class Slow:
    """`with Slow("what it does", "units") as work: work.advance(n)`; seen after so much patience.

    patience: seconds; only on a terminal
    """

    def __init__(self, what: str, unit: str, patience: float = 2.0):
        self.what, self.unit, self.patience = what, unit, patience
        self.done, self._bar, self._task = 0, None, None

    def __enter__(self) -> "Slow":
        self._began = time.monotonic()
        return self

    def advance(self, amount: int) -> None:
        """`amount` more of it is done."""
        self.done += amount
        if self._bar is None and time.monotonic() - self._began > self.patience:
            from rich.console import Console
            from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

            console = Console(stderr=True)
            columns = (SpinnerColumn(), "{task.description}", TimeElapsedColumn())
            self._bar = Progress(
                *columns, console=console, transient=True, disable=not console.is_terminal
            )
            self._bar.start()
            self._task = self._bar.add_task(self.what)
        if self._bar is not None and self._task is not None:
            text = f"{self.what}: {self.done:,} {self.unit}"
            self._bar.update(self._task, description=text)

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()
