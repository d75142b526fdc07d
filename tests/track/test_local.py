"""The local tracker: a disk that refuses is warned of, not fatal."""

import logging

import pytest

from fxformer.track.local import LocalTracker
from fxformer.track.run import Run
from fxformer.track.run_reader import StoredRun


def test_a_full_disk_does_not_stop_the_run(tmp_path, monkeypatch, caplog):
    run, tracker = Run.create(tmp_path, "x", config={}), LocalTracker()
    tracker.start({}, run)

    def full(*_):
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.WARNING):
        with monkeypatch.context() as patch:
            patch.setattr(run, "log", full)
            tracker.log(1, "train", {"loss": 1.0})
            tracker.log(2, "train", {"loss": 1.0})
        tracker.log(3, "train", {"loss": 1.0})
    assert [line["step"] for line in StoredRun(run.folder).lines] == [3]
    assert len(caplog.records) == 2 and "2 lines are lost" in caplog.text


def test_it_must_be_started():
    with pytest.raises(RuntimeError, match="not started"):
        LocalTracker().log(1, "train", {})
