"""Owners: alive, gone, and pids that are used again."""

import subprocess
import sys

import pytest

from fxformer.track.owner import Lock, RunBusyError, alive, record


def test_this_process_is_alive_and_an_ended_one_is_not():
    assert alive(record())
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not alive({**record(), "pid": child.pid})


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
