"""Trackers: mirrors that explode, sleep or leak never touch the run."""

import logging
import threading

import pytest
from hydra.utils import instantiate

from fxformer.config.options import composed
from fxformer.track.run import Run
from fxformer.track.run_reader import StoredRun
from fxformer.track.tracker import Trackers


class Diary:
    """A mirror that remembers; `trouble(method)` may do what it likes."""

    def __init__(self, trouble=lambda method: None):
        self.calls, self._trouble = [], trouble

    def _note(self, method, *arguments):
        self._trouble(method)
        self.calls.append((method, *arguments))

    def start(self, config, run):
        self._note("start", config)

    def log(self, step, split, metrics):
        self._note("log", step, split, metrics)

    def text(self, name, text):
        self._note("text", name, text)

    def artifact(self, name, path):
        self._note("artifact", name, path)

    def finish(self, summary):
        self._note("finish", summary)


def run_with(tmp_path, mirrors, steps=50, **knobs):
    run = Run.create(tmp_path, "x", config={"a": 1})
    trackers = Trackers(mirrors=mirrors, **knobs)
    trackers.start(run)
    for step in range(steps):
        trackers.log(step, "train", {"loss": 1.0 / (step + 1)})
    missed = trackers.finish({"loss": 0.1})
    run.finish("done")
    assert len(StoredRun(run.folder).lines) == steps  # the folder misses nothing, ever
    return run, missed


def test_a_mirror_sees_everything_in_order(tmp_path):
    diary = Diary()
    run, missed = run_with(tmp_path, {"d": diary})
    assert [c[0] for c in diary.calls] == ["start", *["log"] * 50, "finish"]
    assert [c[1] for c in diary.calls[1:-1]] == list(range(50)) and missed == {"d": 0}
    assert StoredRun(run.folder).facts["summary"] == {"loss": 0.1}


@pytest.mark.parametrize("method", ["start", "log", "finish"])
def test_a_mirror_that_explodes_is_off_after_a_warning(tmp_path, caplog, method):
    def explode(now):
        if now == method:
            raise SystemExit("boom")

    with caplog.at_level(logging.WARNING):
        run_with(tmp_path, {"bad": Diary(explode), "good": (good := Diary())})
    assert "tracker bad is off" in caplog.text
    assert len(good.calls) == 52


def test_a_mirror_that_sleeps_costs_the_run_nothing_and_its_drops_are_counted(tmp_path, caplog):
    woken = threading.Event()
    sleepy = Diary(lambda method: woken.wait(600))
    with caplog.at_level(logging.WARNING):
        run, missed = run_with(tmp_path, {"slow": sleepy}, steps=200, queue=10, finish_seconds=0.3)
    assert len(sleepy.calls) <= 1  # the run has ended, and its first call has not returned
    woken.set()
    assert missed["slow"] >= 190
    assert "too slow" in caplog.text and "did not finish in time" in caplog.text
    assert any(e["event"] == "tracker" for e in StoredRun(run.folder).events())


def test_a_follower_sees_each_line_until_it_fails(tmp_path, caplog):
    run, trackers, seen = Run.create(tmp_path, "x", config={}), Trackers(), []

    def closed(*_):
        seen.append("closed")
        raise BrokenPipeError("terminal gone")

    trackers.start(run)
    trackers.follow(closed)
    trackers.follow(lambda step, split, metrics: seen.append((step, split, metrics["loss"])))
    with caplog.at_level(logging.WARNING):
        for step in range(2):
            trackers.log(step, "train", {"loss": 1.0})
    assert seen == ["closed", (0, "train", 1.0), (1, "train", 1.0)]
    assert "terminal gone" in caplog.text


def test_text_and_artifacts_are_kept_in_the_folder(tmp_path):
    run, diary = Run.create(tmp_path, "x", config={"api_key": "canary-7"}), Diary()
    trackers = Trackers(mirrors={"d": diary})
    trackers.start(run)
    trackers.text("../samples", "hello canary-7")
    trackers.artifact("checkpoint", run.folder / "checkpoints")
    trackers.finish({})
    assert (run.folder / "samples.md").read_text() == "hello <redacted>"
    assert diary.calls[1] == ("text", "../samples", "hello <redacted>")
    assert diary.calls[0] == ("start", {"api_key": "<redacted>"})


@pytest.mark.parametrize(
    ("choice", "mirrors"),
    [
        ("local", []),
        ("wandb", ["wandb"]),
        ("tensorboard", ["tensorboard"]),
        ("all", ["wandb", "tensorboard"]),
    ],
)
def test_every_yaml_builds(choice, mirrors):
    cfg = composed(None, [f"+tracker={choice}"])
    assert sorted(cfg.tracker.mirrors) == sorted(mirrors)
    trackers = instantiate(cfg.tracker)
    assert isinstance(trackers, Trackers)
    assert all(hasattr(mirror, "finish") for mirror in trackers._given.values())


def test_a_mirror_is_added_and_changed_from_the_command_line():
    words = [
        "+tracker=wandb",
        "tracker.mirrors.wandb.mode=online",
        "+tracker/mirror@tracker.mirrors.board=tensorboard",
    ]
    cfg = composed(None, words)
    assert cfg.tracker.mirrors.wandb.mode == "online" and "board" in cfg.tracker.mirrors
