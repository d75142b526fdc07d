"""Signals outside the training loop: exit 75 at once, or after the grace where C code is stuck."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BEGIN = f"""
import os, sys, time, hashlib, signal, threading
sys.path.insert(0, {str(ROOT)!r})
from fxformer.train import signals
def stuck(*numbers):  # in C, where no handler of Python runs; other threads do
    for n, number in enumerate(numbers, 1):
        threading.Timer(0.3 * n, os.kill, (os.getpid(), number)).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
def ready():
    print("ready", flush=True)
"""
END = """
try:
    signals.install()
    work()
except KeyboardInterrupt as error:
    print(type(error).__name__, error)
    raise SystemExit(75)
"""


def begin(body: str) -> subprocess.Popen:
    pipe = subprocess.PIPE
    code = [sys.executable, "-c", BEGIN + body + END]
    process = subprocess.Popen(code, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout.readline() == "ready\n", process.communicate()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_python_code_is_an_exception(number):
    process = begin("def work(): ready(); time.sleep(60)")
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (75, f"Interrupted {number.name}\n")
    assert f"{number.name}: stopping; again to stop now" in err


STUCK = """
signals.deadline.patience = 0.3
signals.deadline.leave["it"] = lambda name: print("left", name, flush=True)
signals.deadline.leave["bad"] = lambda name: 1 / 0
"""


def test_a_process_that_is_stuck_in_c_is_ended():
    process = begin(STUCK + "def work(): ready(); stuck(signal.SIGTERM)")
    out, _ = process.communicate(timeout=300)
    assert (process.returncode, out) == (75, "left SIGTERM\n")


def test_a_second_signal_ends_one_that_is_stuck():
    process = begin("def work(): ready(); stuck(signal.SIGTERM, signal.SIGINT)")
    assert process.wait(300) == 130


def test_one_that_is_saving_is_waited_for():
    """As long as a checkpoint is being written, and from when the loop has reacted: each time for
    longer than its patience."""
    body = """
writing = threading.Event()
writing.set()
signals.deadline.patience, signals.deadline.busy = 0.2, writing.is_set
def work():
    with signals.Signals(limit=True) as s:
        ready()
        while not s.name:
            time.sleep(0.01)
        time.sleep(0.7)
        s.react()
        writing.clear()
        time.sleep(0.7)
        print("saved", flush=True)
    raise SystemExit(75)
"""
    process = begin(body)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=300)[0] == "saved\n"
    assert process.returncode == 75


def test_a_loop_that_never_reacts_is_ended():
    body = (
        STUCK
        + """
def work():
    with signals.Signals(limit=True):
        ready()
        while True: time.sleep(0.01)
"""
    )
    process = begin(body)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=300)[0] == "left SIGTERM\n"
    assert process.returncode == 75


def test_a_signal_before_there_is_a_handler_is_kept_over_an_exec():
    """`fxformer train` executes itself anew for its heap before it imports anything heavy."""
    again = BEGIN + "def work(): time.sleep(60)\n" + END
    first = (
        BEGIN
        + f"""
signals.block()
ready()
sys.stdin.readline()
os.execv(sys.executable, [sys.executable, "-c", {again!r}])
"""
    )
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", first]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGTERM)
    out, _ = process.communicate("\n", timeout=300)
    assert (process.returncode, out) == (75, "Interrupted SIGTERM\n")


def test_after_a_signal_nothing_of_the_process_is_taken_down():
    """A thread that does not end would keep it, and C++ that was left by an exception may crash."""
    body = """
import atexit
atexit.register(print, "taken down")
def work():
    threading.Thread(target=time.sleep, args=(60,)).start()
    try:
        ready(); time.sleep(60)
    except KeyboardInterrupt:
        signals.end(75)
"""
    process = begin(body)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=300)[0] == ""
    assert process.returncode == 75
