"""Launchers: where the trials of one command run. Each launcher is a class, called with a Job.

These run trials on this machine; those of `cluster_launchers` start workers on others.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console

from fxformer.errors import UserError
from fxformer.search.job_tasks import JobTask, Leader
from fxformer.search.leases import LeaseStore
from fxformer.search.options import WorkerOptions
from fxformer.search.process import ATTEMPT, Process, Resources, TrialCommands, split_resources
from fxformer.search.study import Study, Trial
from fxformer.search.trial_env import VARIABLE, TrialEnv
from fxformer.search.worker import Start, Worker


@dataclasses.dataclass(frozen=True)
class Job:
    """The work of a launcher.

    inline: (all overrides of a trial, slot) -> exit code; runs the trial in this process
    command: arguments after `fxformer` that start another worker of this study
    reject: overrides of a trial -> why its config cannot run; None: it can
    """

    study: Study
    options: WorkerOptions
    leases: LeaseStore
    commands: TrialCommands
    inline: Callable[[Sequence[str], int], int]
    command: tuple[str, ...]
    console: Console
    reject: Callable[[Sequence[str]], str | None] = lambda overrides: None


class Launcher(Protocol):
    """Runs the trials of a job; returns why it stopped early, or "" when no trial is left."""

    def __call__(self, job: Job) -> str: ...


@dataclasses.dataclass(frozen=True)
class ProcessLauncher:
    """Runs every trial in a process of its own, which isolates its memory and its crashes. In a
    cluster job of several tasks each of them has a process of the trial (job_tasks.py)."""

    def __call__(self, job: Job) -> str:
        task = JobTask.from_environment()
        with contextlib.nullcontext() if task is None else Leader(task) as leader:
            return self._run(job, leader)

    def _run(self, job: Job, leader: Leader | None) -> str:
        def start(study: Study, trial: Trial, place: Resources, env: TrialEnv) -> Process:
            run = _resumable(study, trial)
            argv = job.commands.resume(run) if run else job.commands.fresh(trial.overrides)
            overrides = [f"resume={trial.run}"] if run else [*study.overrides, *trial.overrides]
            header = f"{ATTEMPT}{env.attempt}: {' '.join(overrides)}"
            environ = env.environment()
            if leader is not None:
                argv, environ = leader.called(argv, env)
            return Process(argv, study.log(trial.slot), place, environ, header)

        places = split_resources(job.options.workers, job.options.devices)
        return _work(job, start, places, in_process=False)


@dataclasses.dataclass(frozen=True)
class InlineLauncher:
    """Runs all trials in this process, one after the other: saves the start and the compilation,
    but a signal or crash in a trial ends the search."""

    def __call__(self, job: Job) -> str:
        if job.options.workers != 1:
            raise UserError(
                f"search.workers={job.options.workers}: search/launcher=inline runs one trial at a "
                "time; leave it out, or write search/launcher=process"
            )

        def start(study: Study, trial: Trial, place: Resources, env: TrialEnv) -> _Inline:
            run = _resumable(study, trial)
            commands = job.commands
            words = commands.resuming(run) if run else [*commands.overrides, *trial.overrides]
            return _Inline(lambda: job.inline(words, trial.slot), env.environment())

        return _work(job, start, [Resources()], in_process=True)


class _Inline:
    """A trial that runs in the first `poll`, so that its lease is renewed meanwhile."""

    def __init__(self, act: Callable[[], int], environ: dict[str, str]):
        self.act, self.environ = act, environ

    def poll(self) -> int:
        os.environ |= self.environ
        try:
            return self.act()
        finally:
            os.environ.pop(VARIABLE, None)

    def interrupt(self) -> None:
        """Nothing to do: it is not running outside `poll`."""

    def kill(self) -> None:
        """Nothing to do: it is not running outside `poll`."""


def _resumable(study: Study, trial: Trial) -> Path | None:
    """The folder of a trial's run, if it can be resumed from here."""
    folder = None if trial.run is None else study.runs / trial.run
    return folder if folder and (folder / "config.yaml").is_file() else None


def _work(job: Job, start: Start, places: list[Resources], *, in_process: bool) -> str:
    worker = Worker(
        job.study, job.options, job.leases, start, places, job.console,
        reject=job.reject, in_process=in_process,
    )  # fmt: skip
    worker.run()
    return worker.stopped
