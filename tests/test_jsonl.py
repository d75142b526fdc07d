"""JSON lines: odd floats, torn tails, atomic rewriting."""

import json
import math

import numpy as np

from fxformer import jsonl


def test_odd_floats_and_arrays_travel_as_valid_json(tmp_path):
    path = tmp_path / "x.jsonl"
    writer = jsonl.Writer(path)
    writer.write({"a": math.nan, "b": -math.inf, "c": np.float32(1.5), "d": np.arange(2),
                  "e": path})
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
