"""Owners: alive, gone, and pids that are used again."""

import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from fxformer.track.run_lock import (
    RunBusyError,
    RunGoneError,
    RunLinkedError,
    RunLock,
    RunLost,
    is_alive,
    is_held,
    is_local,
    this_process,
)
from tests.energy.fakes import Clock


def test_this_process_is_alive_and_an_ended_one_is_not():
    assert is_alive(this_process())
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not is_alive({**this_process(), "pid": child.pid})


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="only /proc tells")
def test_a_killed_process_that_nobody_has_collected_is_gone():
    """As in a container whose first process is no init: its dead keep their pids."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = this_process() | {"pid": child.pid, "process_start": None}
    assert is_alive(owner)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    os.kill(child.pid, 0)  # it can be signalled still
    assert not is_alive(owner)
    child.communicate()


def test_a_pid_used_again_is_somebody_else():
    assert not is_alive({**this_process(), "process_start": "another boot/1"})


def test_nobody_can_tell_of_another_host():
    assert is_alive({"host": "elsewhere", "pid": 1})
    assert is_alive({})


def test_a_lock_is_exclusive_until_it_is_released(tmp_path):
    lock = RunLock(tmp_path)
    with pytest.raises(RunBusyError, match="in use by pid"):
        RunLock(tmp_path)
    lock.release()
    RunLock(tmp_path).release()


def test_a_killed_owner_is_followed_at_once(tmp_path):
    code = "import os, sys, pathlib; from fxformer.track.run_lock import RunLock\n"
    code += "held = RunLock(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert "since" in (tmp_path / ".lock").read_text()
    RunLock(tmp_path).release()
    assert (tmp_path / ".lock").read_text() == ""


OTHER = "pid 1 on elsewhere since 2020-01-01T00:00:00+00:00 process_start another-boot/1 token abc"


def test_another_machine_that_renews_its_lease_is_refused(tmp_path, monkeypatch):
    path = tmp_path / ".lock"
    path.write_text(OTHER)
    stamp = path.stat().st_mtime
    monkeypatch.setattr(time, "sleep", lambda _: os.utime(path, (stamp + 1,) * 2))  # meanwhile
    with pytest.raises(RunBusyError, match="pid 1 on elsewhere .*, which renews its lease"):
        RunLock(tmp_path, lease=3600)
    assert path.read_text() == OTHER


def test_another_machine_that_is_silent_is_followed_after_its_lease(tmp_path, capsys, monkeypatch):
    (tmp_path / ".lock").write_text(OTHER)
    os.utime(tmp_path / ".lock", (time.time() + 3600,) * 2)  # its clock is ahead: age 0
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(time, "sleep", clock.go)
    lock = RunLock(tmp_path, lease=60)
    assert 60 <= clock.now < 61 and "taken over in 60 s" in capsys.readouterr().err
    assert f"pid {os.getpid()} on" in (tmp_path / ".lock").read_text()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    lock.release()


@pytest.mark.parametrize("name", ["elsewhere", socket.gethostname()])
def test_a_lease_that_ran_out_long_ago_is_not_waited_for(tmp_path, name, capsys):
    """Also of another boot under our own host's name: it may be another machine's."""
    path = tmp_path / ".lock"
    path.write_text(OTHER.replace("elsewhere", name))
    os.utime(path, (time.time() - 3600,) * 2)
    RunLock(tmp_path).release()
    assert capsys.readouterr().err == ""


def test_a_restarted_container_goes_on_at_once(tmp_path, monkeypatch):
    """Another host name under the same kernel: its lock would be seen."""
    monkeypatch.setattr(socket, "gethostname", lambda: "pod-1")
    lock = RunLock(tmp_path)
    record = (tmp_path / ".lock").read_text()
    lock.release()
    (tmp_path / ".lock").write_text(record)  # as after a SIGKILL
    monkeypatch.setattr(socket, "gethostname", lambda: "pod-2")
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits for the lease"))
    RunLock(tmp_path).release()


def test_an_owner_that_was_taken_over_writes_no_more(tmp_path):
    lock = RunLock(tmp_path, lease=30)
    lock.verify(now=True)
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").write_text(OTHER)
    with pytest.raises(RunLost, match="taken over by pid 1 on elsewhere") as stopped:
        lock.verify(now=True)
    assert stopped.value.code == 75
    lock.release()
    assert (tmp_path / ".lock").read_text() == OTHER


def test_a_lease_is_renewed_while_its_lock_is_held(tmp_path):
    lock, path = RunLock(tmp_path, lease=0.4), tmp_path / ".lock"
    os.utime(path, (0, 0))
    end = time.monotonic() + 20
    while path.stat().st_mtime == 0 and time.monotonic() < end:
        time.sleep(0.02)
    assert path.stat().st_mtime > 0
    lock.release()


def test_a_folder_that_was_deleted_is_named(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    lock = RunLock(folder)
    shutil.rmtree(folder)
    with pytest.raises(RunGoneError, match="run was deleted while the run was going on"):
        lock.verify(now=True)
    lock.release()


def test_a_run_of_another_machine_is_dead_when_its_lease_is(tmp_path):
    owner, path = {"host": "elsewhere", "pid": 1}, tmp_path / ".lock"
    path.write_text(OTHER)
    assert is_held(tmp_path, owner)
    os.utime(path, (time.time() - 3600,) * 2)
    assert not is_held(tmp_path, owner)


def test_machines_of_one_name_are_told_apart():
    assert is_local(this_process())
    assert not is_local(this_process() | {"process_start": "another-boot/1"})
    assert not is_local(this_process() | {"host": "elsewhere"})


@pytest.mark.parametrize(
    "name",
    [
        ".lock",
        ".reserve",
        "energy.jsonl",
        "wandb",
        "checkpoints",
        "checkpoints/.trash",
        "checkpoints/00000004",
    ],
)
def test_a_folder_whose_files_lead_elsewhere_is_not_written_to(tmp_path, name):
    run, outside = tmp_path / "run", tmp_path / "outside"
    (run / name).parent.mkdir(parents=True)
    outside.write_text("precious")
    (run / name).symlink_to(outside)
    with pytest.raises(RunLinkedError, match=name):
        RunLock(run)
    assert outside.read_text() == "precious" and len(list(tmp_path.rglob("*"))) <= 4


def test_a_folder_that_is_reached_by_a_link_is_ones_own(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    RunLock(tmp_path / "link").release()


def test_a_pipe_in_a_folder_is_refused(tmp_path):
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(RunLinkedError, match="pipe"):
        RunLock(tmp_path)
