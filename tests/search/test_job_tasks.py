"""Tasks of a job: called to each trial of task 0, with the place of each of their processes."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from fxformer.errors import UserError
from fxformer.search import job_tasks
from fxformer.search.job_tasks import CALL, Follower, JobTask, Leader
from fxformer.search.trial_env import TrialEnv

KEYS = ("FXFORMER_COORDINATOR", "FXFORMER_PROCESSES", "FXFORMER_PROCESS", "FXFORMER_TRIAL",
        "JAX_LOCAL_DEVICE_IDS")  # fmt: skip
WRITES = (
    "import json, os, sys; name = sys.argv[1] + '-' + os.environ['FXFORMER_PROCESS'];"
    f"found = {{key: os.environ.get(key) for key in {KEYS}}} | {{'argv': sys.argv[1:]}};"
    "open(name + '.part', 'w').write(json.dumps(found)); os.rename(name + '.part', name)"
)
TRIAL = TrialEnv("study", 3, 1, 99)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(job_tasks, "POLL", 0.01)


def followed(folder, count):
    """Tasks 1 and above, each in a thread; their exit codes once they are joined."""
    codes = {}
    threads = [
        threading.Thread(
            target=lambda n: codes.update({n: Follower(JobTask(str(folder), n, count)).run()}),
            args=(rank,), daemon=True,
        )
        for rank in range(1, count)
    ]  # fmt: skip
    for one in threads:
        one.start()
    return threads, codes


def written(path):
    while not path.exists():
        time.sleep(0.01)
    return json.loads(path.read_text())


def test_all_tasks_start_a_process_of_each_trial_and_end_with_the_first(tmp_path):
    folder = tmp_path / "tasks"
    threads, codes = followed(folder, 3)
    with Leader(JobTask(str(folder), 0, 3, devices=(0, 1))) as leader:
        for name in ("a", "b"):
            command = [sys.executable, "-c", WRITES, str(tmp_path / name), "seed=1"]
            argv, environ = leader.called(command, TRIAL)
            subprocess.run(argv, env=os.environ | environ, check=True)
            found = [written(tmp_path / f"{name}-{rank}") for rank in range(3)]
            assert [one["FXFORMER_PROCESS"] for one in found] == ["0", "1", "2"]
            assert {one["FXFORMER_PROCESSES"] for one in found} == {"3"}
            assert len({one["FXFORMER_COORDINATOR"] for one in found}) == 1
            assert found[0]["FXFORMER_COORDINATOR"].startswith("127.0.0.1:")
            assert [one["JAX_LOCAL_DEVICE_IDS"] for one in found] == ["0,1", None, None]
            assert {tuple(one["argv"][1:]) for one in found} == {("seed=1", "distributed=auto")}
            trials = [json.loads(one["FXFORMER_TRIAL"]) for one in found]
            assert [one["parent"] for one in trials] == [99, os.getpid(), os.getpid()]
            assert {(one["slot"], one["attempt"]) for one in trials} == {(3, 1)}
    for one in threads:
        one.join(20)
    assert codes == {1: 0, 2: 0}


def test_a_job_that_starts_again_does_not_repeat_the_last_call_of_its_earlier_start(tmp_path):
    folder = tmp_path / "tasks"
    folder.mkdir()
    stale = {"leader": "old", "number": 4, "command": ["-c", WRITES, str(tmp_path / "stale")]}
    stale |= {"coordinator": "127.0.0.1:1", "trial": {**TRIAL.__dict__}}
    (folder / CALL).write_text(json.dumps(stale))
    (folder / "task-1.json").write_text(json.dumps({"leader": "old", "sign": 1, "host": "x"}))
    threads, codes = followed(folder, 2)
    while json.loads((folder / "task-1.json").read_text())["host"] == "x":
        time.sleep(0.01)
    with Leader(JobTask(str(folder), 0, 2)) as leader:
        leader.called([sys.executable, "-c", WRITES, str(tmp_path / "new"), "distributed=x"], TRIAL)
        assert written(tmp_path / "new-1")["argv"][1:] == ["distributed=x"]
    threads[0].join(20)
    assert codes == {1: 0} and not list(tmp_path.glob("stale*"))


def test_a_task_that_does_not_come_or_is_lost_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(job_tasks, "START", 0.0)
    leader = Leader(JobTask(str(tmp_path), 0, 2))
    with pytest.raises(UserError, match=r"task 1 of 2 of this job did not start \(they meet in"):
        leader.called(["python"], TRIAL)
    body = {"leader": leader.token, "sign": 1, "host": leader.task.host}
    (tmp_path / "task-1.json").write_text(json.dumps(body))
    leader.called(["python"], TRIAL)
    monkeypatch.setattr(job_tasks, "LOST", 0.0)
    with pytest.raises(UserError, match="task 1 of 2 of this job gives no sign of life for 0 s"):
        leader.called(["python"], TRIAL)


def test_a_follower_ends_where_its_leader_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(job_tasks, "LOST", 0.0)
    Leader(JobTask(str(tmp_path), 0, 2))
    assert Follower(JobTask(str(tmp_path), 1, 2)).run() == 75
