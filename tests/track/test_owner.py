"""Owners: alive, gone, and pids that are used again."""

import os
import subprocess
import sys

import pytest

from fxformer.track.owner import Lock, RunBusyError, alive, record


def test_this_process_is_alive_and_an_ended_one_is_not():
    assert alive(record())
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not alive({**record(), "pid": child.pid})


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="only /proc tells")
def test_a_killed_process_that_nobody_has_collected_is_gone():
    """As in a container whose first process is no init: its dead keep their pids."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = record() | {"pid": child.pid, "born": None}
    assert alive(owner)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    os.kill(child.pid, 0)  # it can be signalled still
    assert not alive(owner)
    child.communicate()


def test_a_pid_used_again_is_somebody_else():
    assert not alive({**record(), "born": "another boot/1"})


def test_nobody_can_tell_of_another_host():
    assert alive({"host": "elsewhere", "pid": 1})
    assert alive({})


def test_a_lock_is_exclusive_until_it_is_released(tmp_path):
    lock = Lock(tmp_path)
    with pytest.raises(RunBusyError, match="in use by pid"):
        Lock(tmp_path)
    lock.release()
    Lock(tmp_path).release()


def test_a_killed_owner_is_followed_at_once(tmp_path):
    code = "import os, sys, pathlib; from fxformer.track.owner import Lock\n"
    code += "held = Lock(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert "since" in (tmp_path / ".lock").read_text()
    Lock(tmp_path).release()
    assert (tmp_path / ".lock").read_text() == ""


def test_the_record_of_another_host_is_honoured(tmp_path):
    (tmp_path / ".lock").write_text("pid 1 on elsewhere since 2020-01-01T00:00:00+00:00")
    with pytest.raises(RunBusyError, match="pid 1 on elsewhere .* on another host; .* delete"):
        Lock(tmp_path)
