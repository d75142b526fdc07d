"""Machines that share no disk on one search: each has its folder of runs, all one database."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fxformer.search.study import Study, find
from tests.ports import reserved_port
from tests.search import fake_worker
from tests.search.postgres_server import postgres

ROOT = Path(__file__).resolve().parents[2]


def machine(
    runs: Path, trials: int, address: str, fake: str = "steps=2", gate: Path = Path("/")
) -> subprocess.Popen:
    """A controller that knows of the others through the database only.

    gate: file that trials wait for before their last step
    """
    runs.mkdir(exist_ok=True)
    environ = os.environ | {"PYTHONPATH": str(ROOT), "FAKE": fake, "FAKE_GATE": str(gate)}
    words = [sys.executable, fake_worker.__file__, str(runs), "s", str(trials), "2", address]
    with (runs / "err.txt").open("a") as err:
        return subprocess.Popen(words, env=environ, cwd=ROOT, stdout=err, stderr=err)


def ended(runs: Path) -> list[int]:
    """The slots that were trained to their end by this machine."""
    file = find(runs, "s").folder / "completions"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def share(folders: list[Path], trials: int, address: str, gate: Path) -> list[Study]:
    """Several machines on one search until all is done; no trial ends before each has one."""
    at_work = [machine(folder, trials, address, gate=gate) for folder in folders]
    while not all(list(folder.glob("run-*")) for folder in folders):
        assert all(process.poll() is None for process in at_work)
        time.sleep(0.02)
    gate.touch()
    for folder, process in zip(folders, at_work, strict=True):
        assert process.wait(300) == 0, (folder / "err.txt").read_text()[-3000:]
    return [find(folder, "s") for folder in folders]


def check(studies: list[Study], folders: list[Path], trials: int) -> None:
    """Each trial was trained to its end once, and every machine knows of all of them."""
    slots = [slot for folder in folders for slot in ended(folder)]
    assert sorted(slots) == list(range(trials)), "lost or doubled"
    tables = [
        [(one.state, one.params, one.values, one.joules, one.attempts) for one in study.trials()]
        for study in studies
    ]
    assert all(table == tables[0] for table in tables)
    assert {row[0] for row in tables[0]} == {"complete"}


@pytest.mark.parametrize("trials", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_two_controllers_on_one_postgresql_share_trials(trials, tmp_path):
    with postgres() as address:
        folders = [tmp_path / "one", tmp_path / "two"]
        check(share(folders, trials, address, tmp_path / "gate"), folders, trials)
        assert all(ended(folder) for folder in folders), "one machine did it all"


@pytest.mark.slow
def test_a_machine_that_dies_is_replaced(tmp_path):
    """kill -9 of one of two machines, processes and all: the other does what is left."""
    with postgres() as address:
        folders = [tmp_path / "one", tmp_path / "two"]
        dying, other = (machine(f, 12, address, "steps=4 pause=0.5") for f in folders)
        end = time.monotonic() + 120
        while not list(folders[0].glob("run-*/saved")):
            assert time.monotonic() < end
            time.sleep(0.2)
        dying.kill()
        assert other.wait(300) == 0, (folders[1] / "err.txt").read_text()[-3000:]
        trials = find(folders[1], "s").trials()
        assert [trial.state for trial in trials] == ["complete"] * 12
        assert max(trial.attempts for trial in trials) == 2
        slots = ended(folders[0]) + ended(folders[1])
        assert len(slots) == len(set(slots)) == 12


@contextlib.contextmanager
def served(folder: Path, port: int):
    """`fxformer search serve` on a port of this machine."""
    pytest.importorskip("grpc", reason="pip install 'fxformer[search]'")
    words = ["--file", str(folder / "served.db"), "--port", str(port)]
    command = [sys.executable, "-m", "fxformer", "search", "serve", *words]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    with (folder / "serve.txt").open("w") as out:
        process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=out, stderr=out)
    try:
        end = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        assert process.poll() is None, (folder / "serve.txt").read_text()
        yield f"grpc://localhost:{port}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow  # test_remote has the proxy itself
def test_the_same_over_grpc(tmp_path):
    with reserved_port() as port, served(tmp_path, port) as address:
        folders = [tmp_path / "one", tmp_path / "two"]
        check(share(folders, 8, address, tmp_path / "gate"), folders, 8)
