"""wandb for real, offline: written, quick, and without a secret in any byte."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fxformer.track.run import Run
from fxformer.track.run_reader import StoredRun
from fxformer.track.tracker import Trackers
from fxformer.track.wandb import WandbTracker, sync_command

pytest.importorskip("wandb")


def test_an_offline_run_is_written_and_no_secret_is_in_any_byte(tmp_path, monkeypatch, caplog):
    canaries = {f"canary{n}-{n * 7919:08d}" for n in range(6)}
    in_key, in_env, in_url, in_argv, in_text, in_api = sorted(canaries)
    monkeypatch.setenv("SOME_PLACE", in_env)
    monkeypatch.setenv("WANDB_API_KEY", in_api)
    monkeypatch.setattr("sys.argv", ["fxformer", f"data.token={in_argv}"])
    config = {
        "data": {
            "secret": in_key,
            "where": "${oc.env:SOME_PLACE}",
            "dir": "${data.where}/x",
            "url": f"https://me:{in_url}@host/x",
        },
        "tokenizer": {"password": in_text},
    }
    run = Run.create(tmp_path, "x", config=config, facts={"note": f"see {in_key}"})
    caplog.set_level("INFO", "fxformer")
    trackers = Trackers(mirrors={"wandb": WandbTracker()})
    trackers.start(run)
    for step in range(3):
        trackers.log(step, "train", {"loss": 1.0 + step})
    trackers.text("samples", f"the model said {in_text}")
    run.event("warning", text=f"{in_env} was not found")
    assert trackers.finish({"loss": 1.0}) == {"wandb": 0}
    run.finish("failed", f"ValueError: {in_argv}")

    (record,) = run.folder.glob("wandb/offline-run-*/run-*.wandb")
    assert b"train/loss" in record.read_bytes()
    assert StoredRun(run.folder).facts["wandb_id"] in record.name
    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    leaks = [(p.name, c) for p in written for c in canaries if c.encode() in p.read_bytes()]
    assert len(written) > 6 and leaks == []
    assert f"wandb sync {run.folder}/wandb/offline-run-*" in caplog.text


def test_a_server_that_does_not_answer_means_offline(tmp_path, monkeypatch, caplog):
    import wandb

    asked = []

    class Fake:
        def define_metric(self, *_, **__):
            pass

    def init(mode, **_):
        asked.append(mode)
        if mode == "online":
            raise wandb.errors.CommError("down")
        return Fake()

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "teardown", lambda: None)
    run = Run.create(tmp_path, "x", config={})
    tracker = WandbTracker(mode="online", init_seconds=5)
    tracker.start({}, run)
    first = StoredRun(run.folder).facts["wandb_id"]
    WandbTracker(mode="offline").start({}, run)
    assert asked == ["online", "offline", "offline"] and "wandb sync" in caplog.text
    assert StoredRun(run.folder).facts["wandb_id"] == first  # a resumed run keeps its id


def test_the_attempts_of_a_resumed_run_are_sent_together(tmp_path):
    """One by one, the last would replace the others."""
    first, second = (tmp_path / "wandb" / f"offline-run-2026010{n}_000000-abc" for n in (1, 2))
    assert sync_command(tmp_path, "abc") is None
    first.mkdir(parents=True)
    assert sync_command(tmp_path, "abc") == f"wandb sync {first}"
    (first / "run-abc.wandb.synced").touch()
    assert sync_command(tmp_path, "abc") is None
    second.mkdir()
    whole = f"wandb sync --include-synced --id abc {first} {second}"
    assert sync_command(tmp_path, "abc") == whole


def test_a_resumed_offline_run_names_all_its_attempts(tmp_path, caplog):
    caplog.set_level("INFO", "fxformer")
    run = Run.create(tmp_path, "x", config={})
    for attempt in (1, 2):
        tracker = WandbTracker()
        tracker.start({}, run)
        tracker.log(attempt, "train", {"loss": 1.0})
        tracker.finish({})
    name = StoredRun(run.folder).facts["wandb_id"]
    folders = sorted(run.folder.glob("wandb/offline-run-*"))
    assert len(folders) == 2
    words = f"wandb sync --include-synced --id {name} {folders[0]} {folders[1]}"
    assert words in caplog.text
    done = subprocess.run(
        [*shlex.split(words), "--dry-run"],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr  # wandb knows these options
