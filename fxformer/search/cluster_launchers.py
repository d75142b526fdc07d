"""Launchers for SLURM (submitit) and Ray: each job runs the same command as a worker of the study.

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
    """Submits `search.workers` cluster jobs, each a worker that trains one trial at a time.

    A job that is preempted or reaches its time limit interrupts its trial and is requeued; a trial
    whose job died is taken over by another.

    cluster: slurm; local: processes of this machine, for tests; None: slurm where available
    minutes: time limit of a job
    gpus, cpus, memory_gb: of a job
    partition, account: of SLURM
    sbatch: further options of sbatch, as {constraint: a100, array_parallelism: 4}
    poll_seconds: between polls of the jobs
    """

    cluster: Literal["slurm", "local"] | None = None
    minutes: Count = 60
    gpus: Natural = 0
    cpus: Count = 2
    memory_gb: Positive | None = None
    partition: str | None = None
    account: str | None = None
    sbatch: dict[str, Any] | None = None
    poll_seconds: Positive = 2.0

    def __call__(self, job: Job) -> str:
        try:
            import submitit
        except ImportError as error:
            raise UserError(
                "search/launcher=submitit requires submitit: pip install 'fxformer[search]'"
            ) from error
        executor = submitit.AutoExecutor(str(job.study.folder / "jobs"), cluster=self.cluster)
        executor.update_parameters(name=f"fxformer-{job.study.name}", **self._parameters())
        with executor.batch():
            jobs = [executor.submit(WorkerCommand(job.command)) for _ in range(job.options.workers)]
        job.console.print(f"{len(jobs)} jobs: {', '.join(str(one.job_id) for one in jobs)}")
        return _wait(
            job, lambda: all(one.done() for one in jobs), lambda: _cancel(jobs), self.poll_seconds
        )

    def _parameters(self) -> dict[str, Any]:
        given = {"timeout_min": self.minutes, "cpus_per_task": self.cpus}
        given |= {"gpus_per_node": self.gpus} if self.gpus else {}
        given |= {"mem_gb": self.memory_gb} if self.memory_gb else {}
        slurm = {"slurm_partition": self.partition, "slurm_account": self.account}
        given |= {key: value for key, value in slurm.items() if value is not None}
        return given | ({"slurm_additional_parameters": self.sbatch} if self.sbatch else {})


def _cancel(jobs: Sequence[Any]) -> None:
    for one in jobs:
        with contextlib.suppress(Exception):  # it may have ended already
            one.cancel()


class WorkerCommand:
    """Runs the command of a worker in a cluster job. Pickled by submitit."""

    def __init__(self, command: Sequence[str]):
        self.command, self.folder = list(command), os.getcwd()
        self.process: subprocess.Popen | None = None

    def __call__(self) -> int:
        argv = [sys.executable, "-m", "fxformer", *self.command]
        self.process = subprocess.Popen(argv, cwd=self.folder)
        return self.process.wait()

    def checkpoint(self) -> Any:
        """Called by submitit before preemption: the trial saves, and the job is requeued."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        return DelayedSubmission(WorkerCommand(self.command))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayLauncher:
    """Starts `search.workers` tasks of a Ray cluster, each a worker.

    address: of the cluster; None: a new one on this machine
    cpus, gpus: of a task
    poll_seconds: between polls of the tasks
    """

    address: str | None = None
    cpus: Positive = 1.0
    gpus: Natural = 0
    poll_seconds: Positive = 2.0

    def __call__(self, job: Job) -> str:
        try:
            import ray  # type: ignore[reportMissingImports]  # in no extra of this package
        except ImportError as error:
            raise UserError("search/launcher=ray requires Ray: pip install ray") from error
        own = {} if self.address else {"include_dashboard": False}
        ray.init(address=self.address, log_to_driver=False, ignore_reinit_error=True, **own)
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0)(_run_worker)
        tasks = [task.remote(job.command, os.getcwd()) for _ in range(job.options.workers)]
        try:
            return _wait(
                job,
                lambda: len(ray.wait(tasks, num_returns=len(tasks), timeout=0)[0]) == len(tasks),
                lambda: [ray.cancel(task) for task in tasks],
                self.poll_seconds,
            )
        finally:
            ray.shutdown()


def _run_worker(command: Sequence[str], folder: str) -> int:
    worker = WorkerCommand(command)
    worker.folder = folder
    try:
        return worker()
    except KeyboardInterrupt:  # how Ray cancels
        if worker.process is not None:
            worker.process.terminate()
            worker.process.wait()
        raise


def _wait(job: Job, done: Callable[[], bool], cancel: Callable[[], Any], poll: float) -> str:
    """Show the progress of the study until the jobs are done; Ctrl-C cancels them."""
    signals = Signals("the running trials save", leave=cancel)
    with signals, job.console.status("") as status:
        while not done() and not signals.name:
            job.leases.pull()
            trials = job.study.trials()
            kwh = sum(trial.kwh for trial in trials)
            status.update(table.summary(job.study, trials, kwh))
            time.sleep(poll)
        if signals.name:
            cancel()
    job.leases.pull()
    return signals.name or ""
