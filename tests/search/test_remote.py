"""Machines that share no disk: each with a folder of its own, their leases in one database."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from search import fake_worker

from fxformer.search import remote, study_io
from fxformer.search.remote import DatabaseLeases
from fxformer.search.storage import open_storage, redacted
from fxformer.search.study import Study, Trial
from tests.ports import reserved_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def address(tmp_path):
    return f"sqlite:///{tmp_path / 'shared.db'}"


def machine(tmp_path, name: str, address: str, **fields) -> DatabaseLeases:
    """The leases of a machine with a folder of its own."""
    return DatabaseLeases(
        study_io.open_or_create(fake_worker.study(tmp_path / name, **fields)), address, 60
    )


def test_a_claim_is_made_once_and_what_it_came_to_is_heard(tmp_path, address):
    here, there = machine(tmp_path, "a", address), machine(tmp_path, "b", address)
    assert here.acquire(0, 1) and not there.acquire(0, 1) and there.acquire(1, 1)
    assert here.latest()[1].attempt == 1 and here.renew(0, 1)
    params = {"x": 1e-3, "y": 1}
    running = Trial(0, params, ("x=0.001", "y=1"), "running", attempts=1, reports=((1, 2.0, 1e-3),))
    here.push([running])
    there.pull()
    assert there.study.trial(0) == running
    done = fake_worker.dataclasses.replace(running, state="complete", values=(2.0,), kwh=1e-3)
    study_io.write(here.study, done)
    here.push([done])
    there.pull()
    assert there.study.trial(0) == done
    (frozen,) = [one for one in here._all() if one.user_attrs["slot"] == 0 and one.params]
    assert frozen.params == params and frozen.value == 2.0 and frozen.user_attrs["kwh"] == 1e-3


def test_a_machine_that_goes_on_supersedes_and_the_dead_attempt_is_failed(tmp_path, address):
    here, there = machine(tmp_path, "a", address), machine(tmp_path, "b", address)
    assert here.acquire(0, 1) and there.acquire(0, 2)
    assert not here.renew(0, 1) and there.renew(0, 2)
    assert here.latest()[0].attempt == 2
    assert [one.state.name for one in here._all()] == ["FAIL", "RUNNING"]


def test_what_a_dead_worker_had_written_but_not_told_is_told(tmp_path, address):
    here, there = machine(tmp_path, "a", address), machine(tmp_path, "b", address)
    params = {"x": 1e-3, "y": 1}
    assert here.acquire(0, 1)
    here.push([Trial(0, params, (), "running", attempts=1)])
    done = Trial(0, params, (), "complete", values=(1.0,), attempts=1)
    study_io.write(here.study, done)
    machine(tmp_path, "a", address).pull()  # another worker of the same folder
    there.pull()
    assert there.study.trial(0) == done


def test_the_study_of_a_database_may_grow_but_not_change(tmp_path, address):
    machine(tmp_path, "a", address, total=4)
    assert machine(tmp_path, "b", address, total=9).study.total == 9
    assert machine(tmp_path, "a", address, total=4).study.total == 9
    with pytest.raises(ValueError, match="search.seed: the study has 0, given 1"):
        machine(tmp_path, "c", address, seed=1)


def test_addresses_that_cannot_be_are_refused_and_passwords_are_not_shown(tmp_path, monkeypatch):
    for wrong in ("nonsense", "grpc://host", "runs/file.db", "foo://x"):
        with pytest.raises(ValueError, match="postgresql\\+psycopg://USER@HOST"):
            open_storage(wrong)
    assert redacted("postgresql+psycopg://me:secret@db/x") == "postgresql+psycopg://me:…@db/x"
    assert redacted("postgresql+psycopg://db/x") == "postgresql+psycopg://db/x"
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 0.5)
    with pytest.raises(remote.Unreachable, match="does not answer") as error:
        machine(tmp_path, "a", "postgresql+psycopg://me:secret@127.0.0.1:9/x")
    assert "secret" not in str(error.value)


def test_a_database_that_never_answers_is_named_and_then_given_up(tmp_path, monkeypatch, capsys):
    silent = threading.Event()
    monkeypatch.setattr(remote, "open_storage", lambda _: silent.wait())
    monkeypatch.setattr(remote, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 0.5)
    with pytest.raises(remote.Unreachable, match="me:…@db/x does not answer: no answer in"):
        machine(tmp_path, "a", "postgresql+psycopg://me:secret@db/x")
    silent.set()
    said = capsys.readouterr().err
    assert "waiting for postgresql+psycopg://me:…@db/x" in said and "secret" not in said


def test_a_database_that_hesitates_is_asked_again_and_one_that_is_gone_loses_nothing(
    tmp_path, address, monkeypatch
):
    here = machine(tmp_path, "a", address)
    real, asked = here.storage.get_all_trials, []

    def hesitant(*args, **kwargs):
        asked.append(1)
        if len(asked) < 3:
            raise OSError("database is locked")
        return real(*args, **kwargs)

    monkeypatch.setattr(here.storage, "get_all_trials", hesitant)
    assert here.acquire(0, 1) and len(asked) >= 3
    done = Trial(0, {"x": 1e-3, "y": 1}, (), "complete", values=(1.0,), attempts=1)
    study_io.write(here.study, done)
    asked.clear()
    with monkeypatch.context() as gone:
        gone.setattr(remote, "RETRY_SECONDS", 0.3)
        gone.setattr(here.storage, "get_all_trials", lambda *_, **__: hesitant(asked.clear()))
        with pytest.raises(remote.Unreachable, match="database is locked"):
            here.push([done])
    assert here.study.trial(0) == done
    machine(tmp_path, "a", address).pull()  # the next worker tells it
    (frozen,) = machine(tmp_path, "b", address)._all()
    assert frozen.value == 1.0


def worker(runs: Path, trials: int, address: str, fake: str) -> subprocess.Popen:
    argv = [
        sys.executable,
        str(Path(__file__).with_name("fake_worker.py")),
        str(runs),
        "s",
        str(trials),
    ]
    env = os.environ | {"FAKE": fake, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    return subprocess.Popen([*argv, "1", address], env=env)


@contextlib.contextmanager
def served(folder: Path, port: int):
    pytest.importorskip("grpc")
    argv = [sys.executable, "-m", "fxformer.search.serve", "--file", str(folder / "served.db")]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*argv, "--port", str(port)], env=env, stdout=subprocess.PIPE)
    try:
        assert b"serving" in process.stdout.readline()
        yield f"grpc://localhost:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(300)


@pytest.mark.slow
def test_two_machines_share_trials_by_the_proxy_and_one_dies(tmp_path):
    with reserved_port() as port, served(tmp_path, port) as address:
        both = [worker(tmp_path / name, 12, address, "pause=0.1") for name in "ab"]
        folders = [fake_worker.study(tmp_path / name).folder for name in "ab"]
        end = time.monotonic() + 300
        while time.monotonic() < end:  # its second trial is on its way
            begun = (folders[0] / "study.json").exists()
            trials = Study.open(folders[0]).trials() if begun else []
            mine = [one for one in trials if one.run and (folders[0].parents[1] / one.run).exists()]
            if len(mine) > 1 and len(mine[-1].reports) == 2:
                break
            time.sleep(0.02)
        both[0].kill()
        both[0].wait()
        assert both[1].wait(200) == 0
    here, there = (Study.open(folder) for folder in folders)
    assert [one.state for one in there.trials()] == ["complete"] * 12
    ran = [(folder / "completions").read_text().split() for folder in folders]
    assert all(ran) and sorted(map(int, ran[0] + ran[1])) == list(range(12))
    calm, _ = fake_worker.work(fake_worker.study(tmp_path / "calm", total=12), fake_worker.search())
    assert [one.values for one in calm.trials()] == [one.values for one in there.trials()]
