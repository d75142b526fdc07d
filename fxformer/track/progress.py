"""What a terminal shows while a run trains: a live panel, or one plain line per log elsewhere."""

import collections
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fxformer.track import formatting
from fxformer.track.text_chart import sparkline


class Progress:
    """Shows loss (smoothed), tokens/s, model FLOP/s, joules with their provenance, time left.

    total: steps the run will make
    title: a line about the run
    flops_per_token: model FLOPs of forward and backward per token, for FLOP/s; None: not shown
    console: where to; it is live on a terminal and plain otherwise

    Use it as a context manager, or `start` and `stop`. Speed is taken over the last logged lines.
    """

    def __init__(
        self,
        total: int,
        *,
        title: str = "",
        flops_per_token: float | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._total, self._title, self._flops = total, formatting.safe(title, 200), flops_per_token
        self.console = console or Console()
        self._clock, self._began = clock, clock()
        self._recent: collections.deque = collections.deque(maxlen=21)
        self._losses: collections.deque[float] = collections.deque(maxlen=2000)
        self._smooth, self._weight = 0.0, 0.0
        self._valid: float | None = None
        self._last: Mapping[str, Any] = {}
        self._step, self._provenance, self._event = 0, "", "starting"
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to show."""
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._panel,
                console=self.console,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        elif self._title:
            self._say(self._title)

    def stop(self) -> None:
        """Take the panel away; what was said above it stays."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def log(
        self, step: int, split: str, metrics: Mapping[str, Any], provenance: str | None = None
    ) -> None:
        """Numbers of one step: "loss", and for speed "seconds", "tokens", "joules" so far.

        provenance: of the joules: measured, integrated, modelled
        """
        self._provenance = provenance or self._provenance
        if split != "train":
            self._valid = metrics.get("loss", self._valid)
            if self._live is None:
                self._say(f"step {step}/{self._total}  {split} loss {formatting.loss(self._valid)}")
            return
        self._step, self._last = step, metrics
        self._add_loss(metrics.get("loss"))
        if "seconds" in metrics:
            self._recent.append((step, metrics["seconds"], metrics.get("tokens", 0)))
        if self._live is None:
            self._say(self._line())

    def event(self, text: str) -> None:
        """Something that happened: a checkpoint, a warning …"""
        self._event = formatting.safe(text, 300)
        if self._live is None:
            self._say(self._event)

    @property
    def loss(self) -> float | None:
        """The smoothed training loss: a mean that forgets a tenth with each log, unbiased."""
        return self._smooth / self._weight if self._weight else None

    @property
    def tokens_per_second(self) -> float | None:
        """Over the last logged lines."""
        return self._rate(2)

    def _add_loss(self, value: float | None) -> None:
        if value is None:
            return
        self._losses.append(value)
        if math.isfinite(value):
            self._smooth = 0.9 * self._smooth + 0.1 * value
            self._weight = 0.9 * self._weight + 0.1

    def _rate(self, column: int) -> float | None:
        if len(self._recent) < 2:
            return None
        first, last = self._recent[0], self._recent[-1]
        seconds = last[1] - first[1]
        return (last[column] - first[column]) / seconds if seconds > 0 else None

    def _left(self) -> float | None:
        speed = self._rate(0)
        return (self._total - self._step) / speed if speed else None

    def _speeds(self) -> list[str]:
        tokens = self.tokens_per_second
        flops = tokens * self._flops if tokens is not None and self._flops else None
        parts = [f"{formatting.count(tokens)} tokens/s"] if tokens is not None else []
        return parts + ([formatting.si(flops, "FLOP/s")] if flops is not None else [])

    def _joules(self) -> str:
        if "joules" not in self._last:
            return ""
        return f"{formatting.si(self._last['joules'], 'J')} {self._provenance}".strip()

    def _line(self) -> str:
        parts = [
            f"step {self._step}/{self._total}",
            f"loss {formatting.loss(self._last.get('loss'))}",
            *self._speeds(),
            self._joules(),
            f"{formatting.duration(self._left())} left",
        ]
        return "  ".join(part for part in parts if part)

    def _say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def _panel(self) -> RenderableType:
        share = Text(f" {self._step}/{self._total}", style="bold")
        left = Text(f"  {formatting.duration(self._left())} left", style="cyan")
        bar = Table.grid(expand=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True)
        bar.add_row(
            ProgressBar(self._total, self._step, complete_style="cyan", finished_style="green"),
            share + left,
        )
        losses = Text.assemble(
            ("loss ", "dim"),
            (formatting.loss(self.loss), "bold green"),
            "  ",
            (sparkline(list(self._losses)), "green"),
        )
        if self._valid is not None:
            losses.append_text(
                Text.assemble(("   valid ", "dim"), (formatting.loss(self._valid), "bold magenta"))
            )
        facts = [*self._speeds(), self._joules(), formatting.duration(self._clock() - self._began)]
        speeds = Text(" · ").join(Text(fact) for fact in facts if fact)
        last = Text(self._event, style="dim", overflow="ellipsis", no_wrap=True)
        return Panel(
            Group(bar, losses, speeds, last),
            title=Text(self._title, style="bold"),
            title_align="left",
            border_style="dim",
            width=min(100, self.console.width),
        )
