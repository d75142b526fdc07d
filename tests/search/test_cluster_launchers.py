"""Workers that a cluster starts: submitit's local executor does what its SLURM one does."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fxformer.errors import UserError
from fxformer.search import cluster_launchers
from fxformer.search.study import find
from tests.search import fake_worker

ROOT = Path(__file__).resolve().parents[2]
submitit = pytest.importorskip("submitit", reason="pip install 'fxformer[search]'")


class Worker(cluster_launchers.WorkerCommand):
    """A job that works on trials without a model."""

    def __call__(self) -> int:
        self.process = subprocess.Popen([sys.executable, fake_worker.__file__, *self.command])
        return self.process.wait()


def launched(tmp_path, monkeypatch, *, trials, workers, pause=0.0):
    """A job and a launcher for a study of fake trials, which wait for the file "gate" before their
    last step."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FAKE", f"steps=4 pause={pause}")
    monkeypatch.setenv("FAKE_GATE", str(tmp_path / "gate"))
    monkeypatch.setattr(cluster_launchers, "WorkerCommand", Worker)
    launcher = cluster_launchers.SubmititLauncher(cluster="local", minutes=5, poll_seconds=0.2)
    job = fake_worker.job(
        fake_worker.study(tmp_path, total=trials), fake_worker.search(workers=workers)
    )
    object.__setattr__(job, "command", (str(tmp_path), "s", str(trials), "1"))
    return job, launcher


def test_jobs_share_a_study(tmp_path, monkeypatch):
    job, launcher = launched(tmp_path, monkeypatch, trials=6, workers=2)

    def open_gate():
        while len({trial.worker for trial in job.study.trials() if trial.run}) < 2:
            time.sleep(0.05)
        (tmp_path / "gate").touch()

    threading.Thread(target=open_gate, daemon=True).start()
    assert launcher(job) == ""
    trials = find(tmp_path, "s").trials()
    assert [trial.state for trial in trials] == ["complete"] * 6
    assert [trial.attempts for trial in trials] == [1] * 6
    assert len({trial.worker for trial in trials}) == 2
    ended = (job.study.folder / "completions").read_text().split()
    assert sorted(map(int, ended)) == list(range(6))


@pytest.mark.slow
def test_ctrl_c_calls_the_jobs_back(tmp_path, monkeypatch):
    job, launcher = launched(tmp_path, monkeypatch, trials=4, workers=1)

    def press():
        while not any(trial.reports for trial in job.study.trials()):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    assert launcher(job) == "SIGINT"
    end = time.monotonic() + 300
    while any(trial.status == "running" for trial in job.study.trials()):
        assert time.monotonic() < end, "its worker goes on"
        time.sleep(0.1)


def test_a_job_that_is_taken_away_queues_up_again_as_it_was():
    again = cluster_launchers.WorkerCommand(("train", "-m", "seed=1,2")).checkpoint().function
    assert again.command == ["train", "-m", "seed=1,2"] and again.folder == os.getcwd()


@pytest.mark.parametrize(
    "knobs, given",
    [
        ({}, {"timeout_min": 60, "cpus_per_task": 2}),
        (
            {"gpus": 1, "memory_gb": 8.0, "partition": "gpu", "sbatch": {"constraint": "a100"}},
            {"timeout_min": 60, "cpus_per_task": 2, "gpus_per_node": 1, "mem_gb": 8.0,
             "slurm_partition": "gpu", "slurm_additional_parameters": {"constraint": "a100"}},
        ),
        (
            {"nodes": 4, "tasks": 2, "gpus": 8},
            {"timeout_min": 60, "cpus_per_task": 2, "gpus_per_node": 8, "nodes": 4,
             "tasks_per_node": 2},
        ),
    ],
)  # fmt: skip
def test_what_slurm_is_asked_for(knobs, given, tmp_path):
    parameters = cluster_launchers.SubmititLauncher(**knobs)._parameters()
    assert parameters == given
    executor = submitit.AutoExecutor(tmp_path, cluster="debug")
    executor.update_parameters(name="x", **parameters)  # submitit refuses names it does not know


@pytest.mark.parametrize(
    "knobs, words",
    [
        ({"cluster": "local", "nodes": 2}, "one machine; write search.launcher.tasks=2"),
        ({"tasks": 4, "gpus": 6}, "4 tasks on a machine do not divide them; write 8"),
    ],
)
def test_tasks_that_a_machine_cannot_hold_are_refused(knobs, words):
    with pytest.raises(UserError, match=words):
        cluster_launchers.SubmititLauncher(**knobs)


def test_tasks_of_a_job_divide_its_machines_and_their_gpus(tmp_path, monkeypatch):
    """Task 5 of 4 machines with two tasks and 8 GPUs each: the second of the third machine."""
    given = {"SUBMITIT_EXECUTOR": "slurm", "SUBMITIT_FOLDER": str(tmp_path), "SLURM_JOB_ID": "7",
             "SLURM_NTASKS": "8", "SLURM_JOB_NUM_NODES": "4", "SLURM_NODEID": "2",
             "SLURM_PROCID": "5", "SLURM_LOCALID": "1"}  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    task = cluster_launchers.WorkerCommand((), gpus=8).task()
    assert task is not None
    assert (task.rank, task.count, task.devices) == (5, 8, (4, 5, 6, 7))
    assert task.folder == str(tmp_path / "7_tasks")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert cluster_launchers.WorkerCommand(()).task() is None


@pytest.mark.slow
def test_a_trial_is_trained_by_all_tasks_of_its_job(tmp_path):
    """A job of submitit's local executor with two tasks: each has a process of both trials."""
    from shell import DECODER, fxformer

    code, out, err = fxformer(
        "train", "-m", *DECODER, "trainer.steps=4", "trainer.eval_every=2", "search.name=jobs",
        "search/launcher=submitit", "search.launcher.cluster=local", "search.launcher.tasks=2",
        "mesh=data", "optimizer.lr=1e-6,1e-2", "search/pruner=halving",
        "search.pruner.min_resource=2", "search.pruner.reduction_factor=2", folder=tmp_path,
    )  # fmt: skip
    assert code == 0, out + err
    trials = find(tmp_path / "runs", "jobs").trials()
    assert sorted(trial.state for trial in trials) in (["complete", "pruned"], ["complete"] * 2)
    for trial in trials:
        facts = json.loads((tmp_path / "runs" / trial.run / "run.json").read_text())
        assert [one["devices"] for one in facts["processes"]] == [1, 1]
        assert facts["mesh"]["data"] == 2 and trial.attempts == 1


@pytest.mark.slow
def test_the_command_itself_through_submitit(tmp_path):
    """Two trials of real training by two jobs."""
    from shell import DECODER, fxformer

    code, out, err = fxformer(
        "train", "-m", *DECODER, "trainer.steps=4", "trainer.eval_every=2", "search.name=jobs",
        "search/launcher=submitit", "search.launcher.cluster=local", "search.workers=2",
        "optimizer.lr=1e-3,1e-2", folder=tmp_path,
    )  # fmt: skip
    assert code == 0, out + err
    trials = find(tmp_path / "runs", "jobs").trials()
    assert [(trial.state, trial.attempts) for trial in trials] == [("complete", 1)] * 2
