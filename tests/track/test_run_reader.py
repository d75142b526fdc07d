"""Reading runs: found by path, name, beginning or "last"; torn lines tolerated."""

import math

import pytest

from fxformer.track.run import Run
from fxformer.track.run_reader import StoredRun, find, runs


def make(root, name, **facts):
    run = Run.create(root, name, config={"a": 1}, facts=facts)
    run.log(1, "train", {"loss": 2.0, "note": "x"})
    run.log(2, "train", {"loss": math.inf, "tokens": 5})
    run.log(2, "valid", {"loss": 3.0})
    run.finish("done")
    return run.folder


def test_metrics_come_back_as_columns(tmp_path):
    folder = make(tmp_path, "x")
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "split": "tra')
    train = StoredRun(folder).metrics("train")
    assert train["step"].tolist() == [1, 2] and train["loss"].tolist() == [2.0, math.inf]
    assert math.isnan(train["tokens"][0]) and "note" not in train
    assert StoredRun(folder).metrics("none") == {}
    assert StoredRun(folder).energy().joules == 0


def test_a_run_is_found_in_every_way(tmp_path):
    old, new = make(tmp_path, "bert-tiny", started="2020"), make(tmp_path, "bart-tiny")
    make(tmp_path / "sweep", "trial")
    for which in (str(old), old.name, "bert-tiny", "bert"):
        assert find(tmp_path, which).folder == old
    assert find(tmp_path, "bart").folder == new
    assert find(tmp_path, "trial").folder.parent == tmp_path / "sweep"
    assert len(runs(tmp_path)) == 3
    assert find(tmp_path, "last").folder != old


def test_what_is_not_found_names_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="no runs in"):
        find(tmp_path, "last")
    make(tmp_path, "bert-tiny")
    make(tmp_path, "bert-tall")
    with pytest.raises(ValueError, match=r"no run 'brt-tiny'.*nearest: .*bert-tiny"):
        find(tmp_path, "brt-tiny")
    with pytest.raises(ValueError, match="could be 2 runs"):
        find(tmp_path, "bert")


def test_an_unreadable_record_is_told_not_raised(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "run.json").write_text('{"sta')
    assert StoredRun(tmp_path / "x").status == "unreadable"
