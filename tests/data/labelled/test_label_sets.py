"""Label sets: sorted or given, and errors that name the label, its place and the nearest name."""

import logging

import pytest

from fxformer.data.labelled.labels import LabelSet, labels_of, number_of
from fxformer.data.labelled.roles import normalised
from fxformer.data.labelled.rows import Row
from fxformer.errors import UserError


def rows(*labels, role="label"):
    return [Row({role: label}, f"a.csv, line {n}", n) for n, label in enumerate(labels, 2)]


def test_names_are_sorted_as_numbers_where_they_are():
    assert LabelSet.of(rows("b", "a", "b")).names == ("a", "b")
    assert LabelSet.of(rows("10", "9", "-1")).names == ("-1", "9", "10")
    assert LabelSet.of(rows(10, 9, 0)).names == ("0", "9", "10")
    assert LabelSet.of(rows(True, False)).names == ("false", "true")
    assert LabelSet.of(rows(["O", "B-PER"], ["I-PER"], role="labels"), role="labels").names == (
        "B-PER", "I-PER", "O",
    )  # fmt: skip
    assert LabelSet.of(rows(["a", "c"], [], ["b"])).names == ("a", "b", "c")


def test_ids_are_places_and_given_names_keep_their_order(caplog):
    with caplog.at_level(logging.WARNING):
        known = LabelSet.of(rows("a", "b"), given=["b", "a"])
    assert not caplog.text
    assert [known.id_of(one, "here") for one in ("b", "a")] == [0, 1]
    assert len(known) == 2 and "a" in known and "c" not in known
    assert LabelSet.of(rows(1, 0), given=[1, 0]).id_of("0", "here") == 1


def test_an_unknown_label_names_value_place_and_nearest():
    known = LabelSet.of(rows("positive", "negative"))
    with pytest.raises(UserError, match=r"dev.csv, line 7: the label 'postive' is not one of the 2 "
                       "classes; did you mean 'positive'"):  # fmt: skip
        known.id_of("postive", "dev.csv, line 7")
    with pytest.raises(UserError, match="the label 'x' is not one of the 2 classes: negative, pos"):
        known.id_of("x", "dev.csv, line 7")
    with pytest.raises(
        UserError, match=r"a.csv, line 3: the label 'b' is not one of the 1 classes"
    ):
        LabelSet.of(rows("a", "b"), given=["a"])


def test_an_empty_class_is_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert LabelSet.of(rows("a"), given=["a", "b"]).names == ("a", "b")
    assert "1 of 2 classes have no training row: b" in caplog.text


def test_too_many_classes_and_fractions_are_refused(caplog):
    with pytest.raises(
        UserError, match="100,000 different labels in 100,000, .* a column of texts"
    ):
        LabelSet.of(rows(*(f"t{n}" for n in range(100_000))))
    with pytest.raises(UserError, match="the 40 labels are numbers such as 0.5; to predict numbers "
                       "write task=regression"):  # fmt: skip
        LabelSet.of(rows(*(n / 2 for n in range(1, 41))))
    with caplog.at_level(logging.WARNING):
        assert LabelSet.of(rows("0.5", "1.0")).names == ("0.5", "1.0")
    assert "task=regression" in caplog.text


def test_labels_there_must_be():
    with pytest.raises(UserError, match=r"a.csv, line 2 has no label"):
        LabelSet.of(rows(None))
    with pytest.raises(UserError, match="no labels"):
        LabelSet.of([])
    with pytest.raises(UserError, match="'a' is given twice"):
        LabelSet(("a", "b", "a"))


def test_labels_and_numbers_of_a_row():
    assert labels_of(rows(3)[0]) == ["3"] and labels_of(rows([])[0]) == []
    marked = rows([{"start": 0, "end": 2, "label": "PER"}], role="entities")
    assert labels_of(marked[0], "entities") == ["PER"]
    assert number_of(rows("2.5")[0]) == 2.5 and number_of(rows(3)[0]) == 3.0
    for wrong in ("good", float("nan"), "inf", ["1"]):
        with pytest.raises(UserError, match="line 2: the label .* is not a number"):
            number_of(rows(wrong)[0])


def test_numbers_that_python_refuses_to_read_are_names():
    long = "9" * 5000
    assert set(LabelSet.of(rows("1", long)).names) == {"1", long}
    with pytest.raises(UserError, match="is not a number"):
        number_of(rows(10**400)[0])


def test_a_blank_string_of_labels_has_none():
    assert normalised({"text": "a", "label": " "}, "a.csv, line 2", "|")["label"] == []
    assert normalised({"text": "a", "label": "x| |y"}, "a.csv, line 2", "|")["label"] == ["x", "y"]
