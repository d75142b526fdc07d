"""Two signatures never share a column; directions by name."""

import pytest

from fxformer.errors import UserError
from fxformer.metrics.base import Result
from fxformer.metrics.classification import Accuracy
from fxformer.metrics.columns import columns, titles
from fxformer.metrics.direction import HIGHER, LOWER, direction_of, is_better, require_direction
from tests.metrics.test_protocol import OPTIONS, made


def result(value, name="bleu", **settings):
    fields = "|".join(f"{key}:{value}" for key, value in settings.items())
    return Result({name: value}, {name: f"{name}|{fields}|version:2"}, 10)


def test_numbers_of_one_signature_share_a_column():
    found = columns({"first": result(20.0, tok="13a"), "second": result(30.0, tok="13a")})
    assert [(one.title, dict(one.values)) for one in found] == [
        ("bleu", {"first": 20.0, "second": 30.0})
    ]


def test_other_signatures_have_columns_of_their_own():
    rows = {
        "first": [result(20.0, tok="13a", case="lc"), result(0.5, name="chrf", nc="6")],
        "second": result(30.0, tok="intl", case="lc"),
        "third": result(21.0, tok="13a", case="lc"),
    }
    found = columns(rows)
    assert [one.title for one in found] == ["bleu [tok:13a]", "bleu [tok:intl]", "chrf"]
    assert found[0].values == {"first": 20.0, "third": 21.0} and found[1].values == {"second": 30.0}
    assert len({(one.name, one.signature) for one in found}) == len(found)


def test_a_number_without_a_signature_shares_no_column_with_a_metric():
    signed = Accuracy().signature()
    assert titles("accuracy", ["", signed]) == {
        "": "accuracy",
        signed: "accuracy [library:fxformer, version:1]",
    }
    assert titles("accuracy", [""]) == {"": "accuracy"}


def test_a_cell_holds_one_number():
    with pytest.raises(ValueError, match="run has two numbers of bleu"):
        columns({"run": [result(1.0, tok="13a"), result(2.0, tok="13a")]})


def test_directions_by_name_are_those_of_the_metrics():
    known = {**dict.fromkeys(HIGHER, True), **dict.fromkeys(LOWER, False)}
    named = {name: up for option in OPTIONS for name, up in made(option).directions.items()}
    for name, up in named.items():
        assert direction_of(name) == ("maximize" if up else "minimize"), name
    plain = {name for name in named if "answer_" not in name}
    assert plain - set(known) == set()
    training = {"loss", "perplexity", "bits_per_byte"}
    assert set(known) - plain == training


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("ema_loss", "minimize"),
        ("ema_accuracy", "maximize"),
        ("sentence_accuracy", "maximize"),
        ("sentence_nll", "minimize"),
        ("discriminator_loss", "minimize"),
        ("nll_ahead_2", "minimize"),
        ("no_answer_squad_f1", "maximize"),
        ("inaccuracy", None),
        ("loss_ratio", None),
        ("accuracy_gap", None),
        ("fairness", None),
    ],
)
def test_direction_of_a_name(name, direction):
    assert direction_of(name) == direction


def test_the_metrics_of_a_task_come_first():
    class Distance(Accuracy):
        names = ("distance",)
        higher_is_better = False

    class Gain(Accuracy):
        names = ("loss",)

    assert direction_of("distance", Distance().directions) == "minimize"
    assert direction_of("ema_loss", Gain().directions) == "maximize"


def test_an_unknown_direction_must_be_given():
    with pytest.raises(UserError, match="trainer.metric=fairness: .* trainer.direction=maximize"):
        require_direction("fairness", "trainer.metric")
    assert require_direction("fairness", "trainer.metric", given="maximize") == "maximize"


def test_better():
    assert is_better(1.0, 2.0, "minimize") and not is_better(1.0, 2.0, "maximize")
    assert is_better(2.0, 1.0, "maximize") and not is_better(1.0, 1.0, "maximize")
    assert is_better(5.0, None, "minimize")
    assert not any(is_better(float(x), None, "maximize") for x in ("nan", "inf", "-inf"))
