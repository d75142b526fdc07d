"""The benchmark of large text, with a megabyte, and with its steps in this process."""

import json

import pytest

from benchmarks import text
from fxformer.data import shards, units


@pytest.fixture
def small(monkeypatch):
    cost = {"minutes": 1.0, "cpu_seconds": 2.0, "peak_bytes": 3e6, "peak_bytes_of_one": 2e6}
    monkeypatch.setattr(text, "measured", lambda given: (text.act(given), cost))
    monkeypatch.setattr(text, "FILE", 400_000)
    monkeypatch.setattr(units, "SMALLEST", 300_000)
    monkeypatch.setattr(shards, "SHARD_TOKENS", 200_000)


def test_a_megabyte_gives_one_two_and_four_processes_the_same_batches(small, tmp_path, capsys):
    results = tmp_path / "text.json"
    argv = ["--megabytes", "1", "--processes", "1", "--tokenizer", "byte"]
    text.main([*argv, "--folder", str(tmp_path), "--results", str(results)])
    (found,) = json.loads(results.read_text()).values()
    assert 1e6 <= found["bytes"] < 1.1e6 and found["same_batches"] == 6
    # one id a byte, but for the line ends, and for what is held out
    assert 0.85 * found["bytes"] < found["tokens"] < found["bytes"]
    assert found["documents"] * text.LINE * 3 < found["bytes"]
    assert "6 batches are the same for [1, 2, 4] processes" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [results]


def test_other_batches_are_noticed(small, tmp_path, monkeypatch):
    text.generate(tmp_path, 1_000_000)
    rows = text.rows

    def changed(folder, process, count, tokenizer):
        return rows(folder, 0, count, tokenizer)

    monkeypatch.setattr(text, "rows", changed)
    with pytest.raises(SystemExit, match="batches of 2 processes are not those of one"):
        text.compared(tmp_path, "byte")


def test_the_text_is_the_same_each_time_and_its_words_are_of_zipf(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        text.generate(tmp_path / name, 200_000)
    one, other = ((tmp_path / name / "00000.txt").read_text() for name in "ab")
    assert one == other
    most = text.words()[0]
    share = one.replace(".", " ").split().count(most) / len(one.split())
    assert share == pytest.approx(1 / 11.4, rel=0.1)  # 1 / (ln 50000 + 0.577)
