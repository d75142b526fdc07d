"""SQuAD metrics: hand-computed cases, and the official scripts' numbers for drawn ones."""

import json
import math
from pathlib import Path

import pytest

from fxformer.errors import UserError
from fxformer.metrics.squad import Squad, normalize

# Drawn answers with the numbers of the official scripts, 60 sets for either version.
OFFICIAL = json.loads(Path(__file__).with_name("squad_official.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", ["1.1", "2.0"])
def test_equal_to_the_official_script(task):
    sets = [one for one in OFFICIAL if task in one]
    assert len(sets) == 60
    for one in sets:
        found = Squad(squad_version=task).evaluate(one["predictions"], one["answers"]).values
        assert {k: v for k, v in found.items() if not math.isnan(v)} == pytest.approx(one[task])


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The U.S. Army", "us army"),
        ("an apple, a pear", "apple pear"),
        ("theory—the “end”", "theory— “end”"),  # only ASCII punctuation goes
        ("A", ""),
        ("x\u00a0\n y", "x y"),
    ],
)
def test_normalisation(text, normal):
    assert normalize(text) == normal


def test_the_best_answer_counts():
    found = Squad().evaluate(["the red cat"], [["dog", "red cats", "cat"]]).values
    assert found == {"squad_f1": pytest.approx(200 / 3), "squad_exact_match": 0}


def test_null_answers():
    metric = Squad(squad_version="2.0")
    found = metric.evaluate(["", "Paris", "", "Rome"], [[], [], ["Paris"], ["Rome"]]).values
    assert found["squad_exact_match"] == found["squad_f1"] == 50
    assert found["has_answer_squad_f1"] == 50 and found["no_answer_squad_f1"] == 50
    assert tuple(found) == metric.names
    alone = metric.evaluate(["Rome"], [["Rome"]]).values
    assert alone["squad_f1"] == 100 and math.isnan(alone["no_answer_squad_f1"])


def test_an_answer_of_articles_only():
    # normalised it is empty: 1.1 gives no F1 for it, 2.0 takes it for no answer
    assert Squad().evaluate(["The"], [["the"]]).values == {"squad_f1": 0, "squad_exact_match": 100}
    assert Squad(squad_version="2.0").evaluate([""], [["the"]]).values["squad_f1"] == 100


def test_no_answer_needs_the_second_version():
    with pytest.raises(UserError, match="example 1 has no answer.*use the metric squad_v2"):
        Squad().evaluate(["a", "b"], [["a"], []])


def test_one_answer_must_still_be_a_list():
    with pytest.raises(UserError, match="references of example 0 must be a list of texts"):
        Squad().evaluate(["a"], ["a"])
