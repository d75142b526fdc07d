"""Launchers for SLURM (submitit) and Ray: each job runs the same command as a worker of the study.

The machines share the folder of the runs, or search.storage. Where a job has several tasks, on one
or several machines, each has a process of every trial (job_tasks.py): these share the folder.
"""

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Literal

from fxformer.errors import UserError
from fxformer.search import table
from fxformer.search.job_tasks import Follower, JobTask
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
    nodes: machines of a job
    tasks: processes on each of its machines that train one trial together
    gpus, memory_gb: on each machine of a job; its tasks divide the GPUs
    cpus: of a task
    partition, account: of SLURM
    sbatch: further options of sbatch, as {constraint: a100, array_parallelism: 4}
    poll_seconds: between polls of the jobs
    """

    cluster: Literal["slurm", "local"] | None = None
    minutes: Count = 60
    nodes: Count = 1
    tasks: Count = 1
    gpus: Natural = 0
    cpus: Count = 2
    memory_gb: Positive | None = None
    partition: str | None = None
    account: str | None = None
    sbatch: dict[str, Any] | None = None
    poll_seconds: Positive = 2.0

    def __post_init__(self) -> None:
        if self.cluster == "local" and self.nodes > 1:
            raise UserError(
                f"search.launcher.nodes={self.nodes}: search.launcher.cluster=local has one "
                f"machine; write search.launcher.tasks={self.nodes}"
            )
        if self.gpus % self.tasks:
            raise UserError(
                f"search.launcher.gpus={self.gpus}: {self.tasks} tasks on a machine do not divide "
                f"them; write {-(-self.gpus // self.tasks) * self.tasks}"
            )

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
            command = WorkerCommand(job.command, self.gpus)
            jobs = [executor.submit(command) for _ in range(job.options.workers)]
        job.console.print(f"{len(jobs)} jobs: {', '.join(str(one.job_id) for one in jobs)}")
        return _wait(
            job, lambda: all(one.done() for one in jobs), lambda: _cancel(jobs), self.poll_seconds
        )

    def _parameters(self) -> dict[str, Any]:
        given = {"timeout_min": self.minutes, "cpus_per_task": self.cpus}
        if self.nodes * self.tasks > 1:
            given |= {"nodes": self.nodes, "tasks_per_node": self.tasks}
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
    """Runs the command of a worker in a cluster job, or what its other tasks do. Pickled by
    submitit.

    gpus: of each machine of the job, which its tasks divide
    """

    def __init__(self, command: Sequence[str], gpus: int = 0):
        self.command, self.gpus, self.folder = list(command), gpus, os.getcwd()
        self.process: subprocess.Popen | None = None

    def __call__(self) -> int:
        task = self.task()
        if task is not None and task.rank:
            return Follower(task).run()
        return self.work(task)

    def work(self, task: JobTask | None) -> int:
        """Run the worker; its exit code. task: this one, of several of a job"""
        environ = os.environ | ({} if task is None else task.environment())
        argv = [sys.executable, "-m", "fxformer", *self.command]
        self.process = subprocess.Popen(argv, cwd=self.folder, env=environ)
        return self.process.wait()

    def task(self) -> JobTask | None:
        """This task of a submitit job; None: the job has no other."""
        import submitit

        here = submitit.JobEnvironment()
        if here.num_tasks == 1:
            return None
        folder = here.paths.folder / f"{here.job_id}_tasks"
        devices, own = None, self.gpus * here.num_nodes // here.num_tasks
        if self.gpus:
            devices = tuple(range(here.local_rank * own, (here.local_rank + 1) * own))
        os.chdir(self.folder)
        return JobTask(str(folder), here.global_rank, here.num_tasks, devices=devices)

    def checkpoint(self) -> Any:
        """Called by submitit before preemption, in task 0: the trial saves, and the job is
        requeued."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        again = WorkerCommand(self.command, self.gpus)
        again.folder = self.folder
        return DelayedSubmission(again)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayLauncher:
    """Starts `search.workers` jobs of a Ray cluster, each a worker with one or several tasks.

    address: of the cluster; None: a new one on this machine
    tasks: processes that train one trial together, which Ray places at the same time, on as many
        machines as it has to; they see the GPUs that Ray gives them
    cpus, gpus: of a task
    poll_seconds: between polls of the tasks
    """

    address: str | None = None
    tasks: Count = 1
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
        leaders, others = [], []
        for _ in range(job.options.workers):
            first, *more = self._started(ray, job)
            leaders.append(first)
            others += more
        try:
            return _wait(
                job,
                lambda: (
                    len(ray.wait(leaders, num_returns=len(leaders), timeout=0)[0]) == len(leaders)
                ),
                lambda: [ray.cancel(task) for task in leaders],
                self.poll_seconds,
            )
        finally:
            ray.wait(others, num_returns=len(others), timeout=self.poll_seconds) if others else None
            ray.shutdown()

    def _started(self, ray: Any, job: Job) -> list[Any]:
        """The tasks of one job, which start together."""
        from ray.util.placement_group import (  # type: ignore[reportMissingImports]
            placement_group,
        )
        from ray.util.scheduling_strategies import (  # type: ignore[reportMissingImports]
            PlacementGroupSchedulingStrategy,
        )

        resources = {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})
        group = placement_group([resources] * self.tasks)
        folder = job.study.folder / "jobs" / uuid.uuid4().hex
        started = []
        for rank in range(self.tasks):
            place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
            given = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": 0}
            task = ray.remote(**given, scheduling_strategy=place)(_run_task)
            tasks = (str(folder), rank, self.tasks)
            started.append(task.remote(job.command, os.getcwd(), tasks))
        return started


def _run_task(command: Sequence[str], folder: str, task: tuple[str, int, int]) -> int:
    """What a task of Ray does. task: folder, number, and how many there are"""
    import ray  # type: ignore[reportMissingImports]

    worker = WorkerCommand(command)
    worker.folder = folder
    os.chdir(folder)
    host = ray.util.get_node_ip_address()
    own = JobTask(*task, host=host) if task[2] > 1 else None
    try:
        return Follower(own).run() if own is not None and own.rank else worker.work(own)
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
