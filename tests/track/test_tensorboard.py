"""TensorBoard event files, and the pip line when it is missing."""

import sys

import pytest

from fxformer.errors import UserError
from fxformer.track.run import Run
from fxformer.track.tensorboard import TensorBoardTracker


def test_events_are_written(tmp_path):
    pytest.importorskip("tensorboardX")
    run, board = Run.create(tmp_path, "x", config={}), TensorBoardTracker()
    run.rewind(3)
    board.start({"optimizer": {"lr": 0.125}, "where": "${oc.env:HOME}"}, run)
    board.log(4, "train", {"loss": 1.0, "note": "no number"})
    board.text("samples", "a\nb")
    board.artifact("checkpoint", run.folder)
    board.finish({"loss": 1.0})
    (events,) = (run.folder / "tensorboard").iterdir()
    assert b"train/loss" in events.read_bytes() and b"lr: 0.125" in events.read_bytes()


def test_a_missing_package_gives_the_pip_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match="pip install tensorboardX"):
        TensorBoardTracker().start({}, Run.create(tmp_path, "x", config={}))
