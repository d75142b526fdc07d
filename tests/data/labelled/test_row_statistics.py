"""Statistics of labelled rows before training: as facts, and as a printed table."""

import json

from rich.console import Console

from fxformer.data.labelled import statistics
from fxformer.data.labelled.rows import Row


def rows(*labels):
    return [Row({"label": label}, "", n) for n, label in enumerate(labels)]


def test_facts():
    lengths = [1, 5, 10, 200]
    found = statistics.of_split(rows("a", "b", "a", "a"), lengths=lengths, limit=100).facts()
    assert (
        found
        == json.loads(json.dumps(found))
        == {
            "rows": 4,
            "classes": {"a": 3, "b": 1},
            "majority_share": 0.75,
            "tokens": {"median": 10, "90%": 200, "99%": 200, "max": 200},
            "truncated": 1,
            "truncated_share": 0.25,
            "single_token": 1,
        }
    )
    assert statistics.of_split(rows("a"), role=None).facts() == {"rows": 1}
    assert statistics.of_split(rows("a", None)).classes == {"a": 1}


def test_labels_of_words_are_counted():
    some = [Row({"labels": ["O", "B-PER"]}, "", 0), Row({"labels": ["O"]}, "", 1)]
    assert statistics.of_split(some, "labels").classes == {"O": 2, "B-PER": 1}


def test_the_table_shows_classes_truncation_and_what_was_left_out():
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    many = rows(*(f"class {n}" for n in range(20)), "class 0")
    splits = {
        "train": statistics.of_split(many, lengths=range(21), limit=18),
        "valid": statistics.of_split(rows("class 0", "new")),
    }
    statistics.show(splits, console, {"train": {"blank text": 3}})
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["train", "valid"] in lines and ["rows", "21", "2"] in lines
    assert ["left", "out:", "blank", "text", "3"] in lines
    assert ["truncated", "2", "(9.5%)"] in lines and ["tokens,", "max", "20"] in lines
    assert ["class", "0", "2", "(9.5%)", "1", "(50.0%)"] in lines
    assert any(line[:2] == ["9", "others"] for line in lines)  # 12 of 21 are named
