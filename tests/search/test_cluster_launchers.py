"""Workers that a cluster starts: submitit's local executor does what its SLURM one does."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

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
    ],
)  # fmt: skip
def test_what_slurm_is_asked_for(knobs, given, tmp_path):
    parameters = cluster_launchers.SubmititLauncher(**knobs)._parameters()
    assert parameters == given
    executor = submitit.AutoExecutor(tmp_path, cluster="debug")
    executor.update_parameters(name="x", **parameters)  # submitit refuses names it does not know


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
