"""JSON lines: odd floats, torn tails, atomic rewriting."""

import errno
import json
import math

import numpy as np
import pytest

from fxformer import jsonl


def test_odd_floats_and_arrays_travel_as_valid_json(tmp_path):
    path = tmp_path / "x.jsonl"
    writer = jsonl.Writer(path)
    writer.write(
        {"a": math.nan, "b": -math.inf, "c": np.float32(1.5), "d": np.arange(2), "e": path}
    )
    writer.close()
    json.loads(path.read_text(), parse_constant=lambda word: 1 / 0)
    (line,) = jsonl.read(path)
    assert math.isnan(line["a"]) and line["b"] == -math.inf
    assert line["c"] == 1.5 and line["d"] == [0, 1] and line["e"] == str(path)


def test_a_torn_tail_is_skipped_and_the_next_line_is_whole(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo')
    assert list(jsonl.read(path)) == [{"step": 1}]
    writer = jsonl.Writer(path)
    writer.write({"step": 3})
    writer.close()
    assert list(jsonl.read(path)) == [{"step": 1}, {"step": 3}]


def test_keep_rewrites_with_the_wanted_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    assert jsonl.keep(path, lambda line: line["step"] <= 2) == 1
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    assert list(tmp_path.iterdir()) == [path]


class Full:
    """A file that has room for so many bytes more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        written = self.file.write(data[: self.room])
        self.room -= written
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    def fileno(self):
        return self.file.fileno()


@pytest.mark.parametrize("room", [0, 5, 12])
def test_a_full_disk_takes_a_line_whole_or_not_at_all(tmp_path, room):
    writer = jsonl.Writer(tmp_path / "log.jsonl")
    writer.write({"step": 1})
    file, writer._file = writer._file, Full(writer._file, room)
    with pytest.raises(OSError, match="No space left"):
        writer.write({"step": 2, "loss": 0.5})
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1}\n'
    writer._file = file
    writer.write({"step": 3})
    assert [line["step"] for line in jsonl.read(tmp_path / "log.jsonl")] == [1, 3]


def test_what_a_killed_replace_left_is_swept(tmp_path):
    (tmp_path / ".run.json.123.tmp").write_text("{")
    (tmp_path / "run.json").write_text("{}")
    assert jsonl.sweep(tmp_path, older=3600) == 0  # somebody may be at it
    assert jsonl.sweep(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
