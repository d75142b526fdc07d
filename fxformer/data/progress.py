"""A progress line for work that turns out to be long; nothing at all for work that does not."""

import logging
import time

_LOG = logging.getLogger(__name__)
EVERY = 60.0  # seconds between the lines of a log that is no terminal


class Slow:
    """`with Slow("what it does", "units") as work: work.advance(n)`; seen after so much patience:
    on a terminal as a line that changes, elsewhere as a line a minute in the log.

    total: of the units; 0: unknown. With it the share, the rate and the time left are shown
    patience: seconds
    """

    def __init__(self, what: str, unit: str, patience: float = 2.0, total: int = 0):
        self.what, self.unit, self.patience, self.total = what, unit, patience, total
        self.done, self._bar, self._task = 0, None, None

    def __enter__(self) -> "Slow":
        self._began = self._said = time.monotonic()
        return self

    def advance(self, amount: int) -> None:
        """`amount` more of it is done."""
        self.done += amount
        now = time.monotonic()
        if self._bar is None and now - self._began > self.patience:
            self._show()
        if self._bar is not None and self._task is not None and not self._bar.disable:
            self._bar.update(self._task, description=self.text(now - self._began))
        elif now - self._said > EVERY:
            self._said = now
            _LOG.info(self.text(now - self._began))

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (SpinnerColumn(), "{task.description}", TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._bar.start()
        self._task = self._bar.add_task(self.what)

    def text(self, seconds: float) -> str:
        """What has been done within so many seconds."""
        done = f"{self.what}: {self.amount(self.done)}"
        if not self.total or not self.done:
            return done
        rate = self.done / max(seconds, 1e-9)
        left = max(self.total - self.done, 0) / rate
        return f"{done} of {self.amount(self.total)}, {self.amount(rate)}/s, {_duration(left)} left"

    def amount(self, number: float) -> str:
        """A number of the units; bytes with their decimal prefix."""
        if self.unit != "bytes":
            return f"{int(number):,} {self.unit}"
        for prefix in ("", "k", "M", "G"):
            if number < 1000:
                return f"{number:.3g} {prefix}B"
            number /= 1000
        return f"{number:,.1f} TB"

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
