"""The run's folder: unique, readable while it grows, owned by one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
import yaml
from omegaconf import OmegaConf

from fxformer import jsonl
from fxformer.track.run import Run
from fxformer.track.run_lock import RunBusyError, RunGoneError, RunLost
from fxformer.track.run_reader import StoredRun

VICTIM = """
import sys, time
from fxformer.track.run import Run
run = Run.create(sys.argv[1], "x", config={})
run.log(1, "train", {"loss": 1.0})
print(run.folder, flush=True)
time.sleep(60)
"""


def test_a_run_records_how_it_came_about(tmp_path):
    run = Run.create(
        tmp_path,
        "bart tiny/../x",
        config={"optimizer": {"lr": 1e-3}},
        facts={"corpus": "sha256:1"},
        argv=["fxformer", "train", "a=b c"],
    )
    facts = json.loads((run.folder / "run.json").read_text())
    assert facts["command"] == "fxformer train 'a=b c'" and facts["corpus"] == "sha256:1"
    assert facts["status"] == "running" and facts["owner"]["pid"] == os.getpid()
    assert facts["packages"]["jax"] and facts["python"] and "commit" in facts["code"]
    assert run.folder.parent == tmp_path and run.folder.name.endswith("bart-tiny-..-x")
    assert yaml.safe_load((run.folder / "config.yaml").read_text()) == {"optimizer": {"lr": 1e-3}}


def test_runs_of_one_second_get_folders_of_their_own(tmp_path):
    made = {Run.create(tmp_path, "x", config={}).folder for _ in range(5)}
    assert len(made) == 5


def test_lines_can_be_read_at_once_and_the_end_is_told(tmp_path):
    run = Run.create(tmp_path, "x", config={})
    run.log(1, "train", {"loss": float("nan")})
    (line,) = StoredRun(run.folder).lines
    assert line["step"] == 1 and line["loss"] != line["loss"]
    run.finish("interrupted", "SIGTERM", {"loss": 2.0})
    run.finish("done")
    facts = StoredRun(run.folder).facts
    assert (facts["status"], facts["reason"], facts["summary"]) == (
        "interrupted",
        "SIGTERM",
        {"loss": 2.0},
    )
    assert [e["event"] for e in StoredRun(run.folder).events()] == ["start", "end"]


def test_a_resume_cuts_metrics_to_its_step_and_keeps_every_attempt(tmp_path):
    run = Run.create(tmp_path, "x", config={"a": 1})
    for step in (1, 2, 3):
        run.log(step, "train", {"loss": float(step)})
    run.finish("interrupted")
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "lo')
    again = Run.reopen(run.folder)
    assert again.rewind(2) == 1 and again.attempt == 2 and again.config == {"a": 1}
    again.log(3, "train", {"loss": 30.0})
    assert [(e["step"], e["loss"]) for e in StoredRun(run.folder).lines] == [
        (1, 1.0),
        (2, 2.0),
        (3, 30.0),
    ]
    everything = list(jsonl.read(run.folder / "metrics_all.jsonl"))
    assert [(e["attempt"], e["step"]) for e in everything] == [(1, 1), (1, 2), (1, 3), (2, 3)]


def test_a_living_run_is_refused_and_a_killed_one_is_taken_over(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    folder = child.stdout.readline().strip()
    with pytest.raises(RunBusyError, match=f"in use by pid {child.pid}"):
        Run.reopen(folder)
    assert StoredRun(folder).status == "running"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert StoredRun(folder).status == "dead"
    assert [a["status"] for a in Run.reopen(folder).facts["attempts"]] == ["dead", "running"]
    assert StoredRun(folder).status == "running"


def test_of_many_that_want_a_run_one_gets_it(tmp_path):
    Run.create(tmp_path, "x", config={}).finish("done")
    (folder,) = tmp_path.iterdir()
    barrier, won, lost = threading.Barrier(8), [], []

    def race():
        barrier.wait()
        try:
            won.append(Run.reopen(folder))
        except RunBusyError as error:
            lost.append(error)

    racers = [threading.Thread(target=race) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [run.attempt for run in won] == [2] and len(lost) == 7


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a run"):
        Run.reopen(tmp_path)
    (tmp_path / "run.json").write_text('{"sta')
    with pytest.raises(ValueError, match="cannot be taken up again"):
        Run.reopen(tmp_path)
    with pytest.raises(ValueError, match="no run can be written there"):
        Run.create(tmp_path / "run.json", "x", config={})


def test_interpolations_of_the_environment_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_PLACE", "canary-in-the-environment")
    run = Run.create(
        tmp_path,
        "x",
        config=OmegaConf.create({"a": "${oc.env:MY_PLACE}", "b": "${a}/x", "c": "${d}", "d": 3}),
    )
    assert run.config == {"a": "${oc.env:MY_PLACE}", "b": "<redacted>/x", "c": 3, "d": 3}


def full(*_, **__):
    raise OSError(28, "No space left on device")


def test_events_that_a_full_disk_refuses_are_written_when_there_is_room(tmp_path, monkeypatch):
    run = Run.create(tmp_path, "x", config={})
    with monkeypatch.context() as patched:
        patched.setattr(run._events, "write", full)
        run.event("checkpoint_failed", step=4)
        run.event("checkpoint_failed", step=6)
    run.event("rollback", step=8)
    kinds = [(one["event"], one.get("step")) for one in StoredRun(run.folder).events()]
    assert kinds[1:] == [("checkpoint_failed", 4), ("checkpoint_failed", 6), ("rollback", 8)]
    run.finish("done")


def test_the_end_is_told_also_on_a_full_disk(tmp_path, monkeypatch):
    """What is kept in reserve is given up for it."""
    run, replace = Run.create(tmp_path, "x", config={}), jsonl.replace
    reserve = run.folder / ".reserve"
    assert reserve.stat().st_blocks * 512 >= 1 << 16
    monkeypatch.setattr(
        jsonl, "replace", lambda *args: full() if reserve.exists() else replace(*args)
    )
    monkeypatch.setattr(run._events, "write", full)
    run.finish("interrupted", "no room for the last checkpoint")
    facts = json.loads((run.folder / "run.json").read_text())
    assert (facts["status"], facts["reason"]) == ("interrupted", "no room for the last checkpoint")
    assert not reserve.exists()


def test_a_folder_that_was_deleted_is_named(tmp_path):
    run = Run.create(tmp_path, "x", config={})
    shutil.rmtree(run.folder)
    with pytest.raises(RunGoneError, match="was deleted while the run was going on"):
        run.finish("done")
    assert not run.folder.exists()


def test_a_run_that_another_has_taken_over_writes_nothing(tmp_path):
    run = Run.create(tmp_path, "x", config={})
    before = (run.folder / "run.json").read_bytes()
    (run.folder / ".lock").unlink()
    (run.folder / ".lock").write_text(
        "pid 1 on elsewhere since now process_start another/1 token abc"
    )
    with pytest.raises(RunLost, match="taken over by pid 1 on elsewhere"):
        run.finish("done")
    with pytest.raises(RunLost):
        run.log(1, "train", {"loss": 1.0})
    assert (run.folder / "run.json").read_bytes() == before
    assert not StoredRun(run.folder).lines


def test_what_happened_to_the_logs_is_told_at_a_resume(tmp_path):
    run = Run.create(tmp_path, "x", config={})
    run.log(1, "train", {"loss": 1.0})
    marks = run.marks()
    run.finish("interrupted")
    path = run.folder / "metrics.jsonl"
    path.write_text(path.read_text().replace("1.0", "1.5"))
    (run.folder / ".run.json.99.tmp").write_text("{")
    again = Run.reopen(run.folder)
    assert not list(run.folder.glob(".*.tmp"))
    (said,) = again.damage(marks)
    assert "metrics.jsonl was changed" in said
    assert StoredRun(run.folder).events()[-1]["logs"] == [said]
    again.finish("done")
