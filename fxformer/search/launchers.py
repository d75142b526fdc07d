"""Where the trials of one command run: each launcher is a class, called with the job.

These work through trials on this machine; those of `clusters` start workers elsewhere.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console

from fxformer.errors import UserError
from fxformer.search.leases import Claims
from fxformer.search.process import ATTEMPT, Commands, Place, Process, places
from fxformer.search.study import Study, Trial
from fxformer.search.trial_env import VARIABLE, Ticket

if TYPE_CHECKING:
    from fxformer.search.config import Search


@dataclasses.dataclass(frozen=True)
class Job:
    """What a launcher is given.

    inline: runs a trial's overrides in this process and returns the exit code
    command: the words after `fxformer` that make another worker of this study
    judge: words of a trial -> why its config cannot run; None: it can
    """

    study: Study
    search: "Search"
    claims: Claims
    commands: Commands
    inline: Callable[[Sequence[str], int], int]
    command: tuple[str, ...]
    console: Console
    judge: Callable[[Sequence[str]], str | None] = lambda words: None


class Launcher(Protocol):
    """Returns why it hands out no more trials; "" when none is left."""

    def __call__(self, job: Job) -> str: ...


@dataclasses.dataclass(frozen=True)
class ProcessLauncher:
    """A fresh process for every trial: its memory is given back, its death is its own."""

    def __call__(self, job: Job) -> str:
        def start(study: Study, trial: Trial, place: Place, ticket: Ticket) -> Process:
            run = _resumable(study, trial)
            argv = job.commands.resume(run) if run else job.commands.fresh(trial.overrides)
            words = [f"resume={trial.run}"] if run else [*study.overrides, *trial.overrides]
            head = f"{ATTEMPT}{ticket.attempt}: {' '.join(words)}"
            return Process(argv, study.log(trial.slot), place, ticket.environment(), head)

        return _work(job, start, places(job.search.workers, job.search.devices), mine=False)


@dataclasses.dataclass(frozen=True)
class InlineLauncher:
    """All trials in this process, one after the other: no start and little compiling, but what ends
    one of them from outside ends the search."""

    def __call__(self, job: Job) -> str:
        if job.search.workers != 1:
            raise UserError(
                f"search.workers={job.search.workers}: in one process there is one trial at a "
                "time; leave it out, or write search/launcher=process"
            )

        def start(study: Study, trial: Trial, place: Place, ticket: Ticket) -> _Inline:
            run = _resumable(study, trial)
            words = job.commands.resume(run)[4:] if run else trial.overrides
            return _Inline(lambda: job.inline(words, trial.slot), ticket.environment())

        return _work(job, start, [Place()], mine=True)


class _Inline:
    """Runs when it is first looked at, so that its claim is renewed meanwhile."""

    def __init__(self, act: Callable[[], int], environ: dict[str, str]):
        self.act, self.environ = act, environ

    def poll(self) -> int:
        os.environ |= self.environ
        try:
            return self.act()
        finally:
            os.environ.pop(VARIABLE, None)

    def interrupt(self) -> None:
        """It is not running when this is called."""

    def kill(self) -> None:
        """It is not running when this is called."""


def _resumable(study: Study, trial: Trial) -> Path | None:
    """The folder of a trial's run, if it can be gone on with from here."""
    folder = None if trial.run is None else study.runs / trial.run
    return folder if folder and (folder / "config.yaml").is_file() else None


def _work(job: Job, start: Any, room: list[Place], *, mine: bool) -> str:
    from fxformer.search.worker import Worker

    worker = Worker(
        job.study, job.search, job.claims, start, room, job.console, judge=job.judge, mine=mine
    )
    worker.run()
    return worker.stopped
