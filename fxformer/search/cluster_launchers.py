"""Launchers that start workers elsewhere: each is the same command once more, on the same study.

The machines share the folder of the runs, or search.storage.
"""

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from fxformer.errors import UserError
from fxformer.search import table
from fxformer.search.launchers import Job
from fxformer.train.signals import Signals
from fxformer.types import Count, Natural, Positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmititLauncher:
    """`search.workers` jobs of a cluster, each a worker that trains one trial at a time.

    A job that is preempted or runs out of time interrupts its trial and queues up again; a trial
    whose job died is taken over by another.

    cluster: slurm; local: processes of this machine, to try it; None: slurm where there is one
    minutes: of a job
    gpus, cpus, memory_gb: of a job
    partition, account: of SLURM
    more: further options of sbatch, as {constraint: a100, array_parallelism: 4}
    every: seconds between two looks at the jobs
    """

    cluster: Literal["slurm", "local"] | None = None
    minutes: Count = 60
    gpus: Natural = 0
    cpus: Count = 2
    memory_gb: Positive | None = None
    partition: str | None = None
    account: str | None = None
    more: dict[str, Any] | None = None
    every: Positive = 2.0

    def __call__(self, job: Job) -> str:
        try:
            import submitit
        except ImportError as error:
            raise UserError(
                "search/launcher=submitit: pip install 'fxformer[search]' brings it"
            ) from error
        executor = submitit.AutoExecutor(str(job.study.folder / "jobs"), cluster=self.cluster)
        executor.update_parameters(name=f"fxformer-{job.study.name}", **self._parameters())
        with executor.batch():
            jobs = [executor.submit(Again(job.command)) for _ in range(job.search.workers)]
        job.console.print(f"{len(jobs)} jobs: {', '.join(str(one.job_id) for one in jobs)}")
        return _follow(
            job, lambda: all(one.done() for one in jobs), lambda: _cancel(jobs), self.every
        )

    def _parameters(self) -> dict[str, Any]:
        given = {"timeout_min": self.minutes, "cpus_per_task": self.cpus}
        given |= {"gpus_per_node": self.gpus} if self.gpus else {}
        given |= {"mem_gb": self.memory_gb} if self.memory_gb else {}
        slurm = {"slurm_partition": self.partition, "slurm_account": self.account}
        given |= {key: value for key, value in slurm.items() if value is not None}
        return given | ({"slurm_additional_parameters": self.more} if self.more else {})


def _cancel(jobs: Sequence[Any]) -> None:
    for one in jobs:
        with contextlib.suppress(Exception):  # it may be gone already
            one.cancel()


class Again:
    """The same command, as what a job of a cluster runs. Submitit pickles it."""

    def __init__(self, command: Sequence[str]):
        self.command, self.folder = list(command), os.getcwd()
        self.process: subprocess.Popen | None = None

    def __call__(self) -> int:
        argv = [sys.executable, "-m", "fxformer", *self.command]
        self.process = subprocess.Popen(argv, cwd=self.folder)
        return self.process.wait()

    def checkpoint(self) -> Any:
        """Called by submitit when the job is about to be taken away: its trial saves, and the job
        queues up again."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        return DelayedSubmission(Again(self.command))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayLauncher:
    """`search.workers` tasks of a Ray cluster, each a worker.

    address: of the cluster; None: one on this machine
    cpus, gpus: of a task
    every: seconds between two looks at the tasks
    """

    address: str | None = None
    cpus: Positive = 1.0
    gpus: Natural = 0
    every: Positive = 2.0

    def __call__(self, job: Job) -> str:
        try:
            import ray
        except ImportError as error:
            raise UserError("search/launcher=ray: pip install ray brings it") from error
        own = {} if self.address else {"include_dashboard": False}
        ray.init(address=self.address, log_to_driver=False, ignore_reinit_error=True, **own)
        again = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0)(_again)
        tasks = [again.remote(job.command, os.getcwd()) for _ in range(job.search.workers)]
        try:
            return _follow(
                job,
                lambda: len(ray.wait(tasks, num_returns=len(tasks), timeout=0)[0]) == len(tasks),
                lambda: [ray.cancel(task) for task in tasks],
                self.every,
            )
        finally:
            ray.shutdown()


def _again(command: Sequence[str], folder: str) -> int:
    again = Again(command)
    again.folder = folder
    try:
        return again()
    except KeyboardInterrupt:  # how Ray cancels
        if again.process is not None:
            again.process.terminate()
            again.process.wait()
        raise


def _follow(job: Job, done: Callable[[], bool], cancel: Callable[[], Any], every: float) -> str:
    """Show the study until the workers elsewhere are done; Ctrl-C calls them back."""
    signals = Signals("the running trials save", leave=cancel)
    with signals, job.console.status("") as status:
        while not done() and not signals.name:
            job.claims.hear()
            trials = job.study.trials()
            kwh = sum(trial.kwh for trial in trials)
            status.update(table.sums(job.study, trials, kwh))
            time.sleep(every)
        if signals.name:
            cancel()
    job.claims.hear()
    return signals.name or ""
