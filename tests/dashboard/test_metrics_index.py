"""Columns found in bytes are those a parser of JSON finds; a log that grows is only read on."""

import json
import math

import numpy as np
import pytest
from folders import finished
from hypothesis import given, settings
from hypothesis import strategies as st

from fxformer import jsonl
from fxformer.dashboard import metrics_index
from fxformer.dashboard.metrics_index import Columns
from fxformer.track.run_reader import StoredRun

numbers = st.floats() | st.integers(-(10**9), 10**9)
lines = st.fixed_dictionaries(
    {"step": st.integers(0, 10**6), "split": st.sampled_from(["train", "valid"])},
    optional={"loss": numbers, "top5_loss": numbers, 'a "b" .*': numbers, "note": st.text()},
)


@settings(deadline=None, max_examples=60)
@given(st.lists(lines, max_size=12), st.integers(0, 40))
def test_the_scan_finds_what_a_parser_finds(tmp_path_factory, some, torn):
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    writer = jsonl.Writer(path)
    for line in some:
        writer.write(line)
    writer.close()
    text = path.read_bytes()
    last = b'{"step": 7, "split": "train", "loss": 3.25, "joules": 1}'
    path.write_bytes(text + last[:torn])
    jsonl.Writer(path).write({"step": 9, "split": "valid", "loss": 1.0})  # closes the torn line
    want = [line for line in jsonl.read(path)]
    held = Columns(path)
    for split in ("train", "valid"):
        mine = [line for line in want if line["split"] == split]
        for name in ("step", "loss", "top5_loss", 'a "b" .*'):
            found = held.split(split, name)[name]
            np.testing.assert_array_equal(found, [line.get(name, math.nan) for line in mine])


def test_what_a_real_run_logs_is_read_alike(tmp_path):
    folder = finished(tmp_path, steps=30, loss=lambda step: math.nan if step == 7 else 1 / step)
    run, held = StoredRun(folder), Columns(folder / "metrics.jsonl")
    names = metrics_index.logged_names(folder / "metrics.jsonl")
    for split in ("train", "valid"):
        want = run.metrics(split)
        assert set(names[split]) == set(want)
        for name, column in held.split(split, *want).items():
            np.testing.assert_array_equal(column, want[name])


def log(path, first, last, **more):
    with open(path, "a", encoding="utf-8") as file:
        for step in range(first, last):
            file.write(json.dumps({"step": step, "split": "train", "loss": 1.5 * step, **more}))
            file.write("\n")


def test_only_what_was_appended_is_read(tmp_path, monkeypatch):
    path, read = tmp_path / "metrics.jsonl", []
    log(path, 0, 1000)
    held = Columns(path)
    held.split("train", "loss")
    real = metrics_index.MetricsLines
    monkeypatch.setattr(
        metrics_index, "MetricsLines", lambda data: (read.append(len(data)), real(data))[1]
    )
    size = path.stat().st_size
    log(path, 1000, 1003)
    assert held.split("train", "loss")["loss"][-1] == 1.5 * 1002
    assert read == [path.stat().st_size - size]
    held.split("train", "loss")
    assert len(read) == 1


def test_a_line_that_is_half_written_waits(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log(path, 0, 3)
    held = Columns(path)
    whole = json.dumps({"step": 3, "split": "train", "loss": 77.25}) + "\n"
    with open(path, "a", encoding="utf-8") as file:
        file.write(whole[:-4])
        file.flush()
        assert len(held.split("train", "loss")["loss"]) == 3
        file.write(whole[-4:])
    assert held.split("train", "loss")["loss"][-1] == 77.25


@pytest.mark.parametrize("grown_past", [False, True])
def test_a_log_that_was_cut_back_is_read_anew(tmp_path, grown_past):
    path = tmp_path / "metrics.jsonl"
    log(path, 0, 100, joules=1.25)
    held = Columns(path)
    assert len(held.split("train", "loss")["loss"]) == 100
    jsonl.keep(path, lambda line: line["step"] < 50)
    log(path, 50, 300 if grown_past else 60, joules=2.5)
    found = held.split("train", "joules")["joules"]
    assert len(found) == (300 if grown_past else 60) and found[60 if grown_past else 59] == 2.5
    assert found[49] == 1.25


def test_the_cache_gives_the_same_and_is_not_trusted_blindly(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics_index, "_MIN_CACHED", 0)
    path, cache = tmp_path / "metrics.jsonl", tmp_path / ".dashboard" / "x.npz"
    log(path, 0, 200)
    first = Columns(path, cache).split("train", "loss", "step")
    assert cache.exists()
    monkeypatch.setattr(metrics_index, "MetricsLines", lambda *_: pytest.fail("read again"))
    second = Columns(path, cache).split("train", "loss", "step")
    assert all(np.array_equal(first[name], second[name]) for name in first)
    monkeypatch.undo()
    path.unlink()
    log(path, 7, 300)  # another run's log under the same name, and longer
    assert Columns(path, cache).split("train", "loss")["loss"][0] == 10.5
    cache.write_bytes(b"rubbish")
    assert Columns(path, cache).split("train", "loss")["loss"][0] == 10.5


def test_names_come_from_the_ends_and_the_first_evaluation(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics_index, "_ENDS", 2000)
    path = tmp_path / "metrics.jsonl"
    log(path, 0, 400)
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"step": 400, "split": "valid", "loss": "nan", "note": "no", "ok": true}\n')
    log(path, 400, 900, late=1.0)
    found = metrics_index.logged_names(path)
    assert found == {"train": ["step", "loss", "late"], "valid": ["step", "loss"]}


def test_a_log_that_is_not_there_is_empty(tmp_path):
    held = Columns(tmp_path / "metrics.jsonl")
    assert metrics_index.logged_names(tmp_path / "metrics.jsonl") == {}
    assert len(held.split("train", "loss")["loss"]) == 0
