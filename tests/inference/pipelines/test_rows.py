"""What all pipelines do with rows: errors by row, order, batches, energy."""

import jax
import pytest
from inference.pipelines.reference import model, same

from fxformer.energy.config import TDPEnergy
from fxformer.errors import UserError
from fxformer.inference.pipelines.base import MAX_CHARACTERS
from fxformer.inference.pipelines.tasks import pipeline

BAD = ["", " \t", None, 7, b"bytes", "a\0b", "\ud800", "x" * (MAX_CHARACTERS + 1), {"txt": "a"}]


def classifier(**options):
    return pipeline("text-classification", model("bert_classes"), **options)


def test_bad_rows_have_one_clear_error_each_and_the_others_an_answer():
    made = classifier()
    found = made(["The ship", *BAD, "Paris"])
    assert [set(one) for one in found[1:-1]] == [{"error"}] * len(BAD)
    assert all("\n" not in one["error"] for one in found[1:-1])
    same(found[0], made("The ship")[0])
    same(found[-1], made("Paris")[0])
    errors = [one["error"] for one in found[1:-1]]
    assert errors[0] == errors[1] == "text is empty"
    assert "None" in errors[2] and "NUL character at 1" in errors[5]
    assert "1,000,001 characters" in errors[7] and "no valid Unicode" in errors[6]


@pytest.mark.parametrize("row", [None, "", b"bytes"])
def test_a_bad_row_alone_raises(row):
    with pytest.raises(UserError):
        classifier()(row)
    with pytest.raises(UserError, match="is no text"):
        classifier()(7)


def test_answers_come_in_order_whatever_their_length():
    texts = ["Paris " * n for n in (9, 1, 17, 3, 1, 9)]
    made = classifier()
    found = made(iter(texts))
    for text, one in zip(texts, found, strict=True):
        same(made([text])[0], one)
    assert made([]) == []


def test_answers_carry_their_share_of_joules_and_milliseconds():
    made = classifier()
    made.meter = TDPEnergy(cpu_tdp_watts=8.0).open()
    found = list(made.answers(["The ship left the harbour of Rotterdam", "", "Paris"]))
    long, bad, short = found
    assert bad.joules is None and bad.error
    assert long.joules > short.joules > 0 and long.milliseconds > short.milliseconds > 0
    cost = made.cost()
    assert cost is not None and cost.requests == 2 and cost.low < cost.joules < cost.high
    assert cost.joules * 2 == pytest.approx(long.joules + short.joules, rel=0.2)
    assert "2 requests" in str(cost) and "modelled" in str(cost)


def test_compilation_is_told_apart():
    jax.clear_caches()
    made = classifier()
    made.meter = TDPEnergy(cpu_tdp_watts=8.0).open()
    (first,) = made.answers(["The ship left"])
    assert 0 < first.compile_joules < first.joules
    assert 0 < first.compile_milliseconds < first.milliseconds
    (second,) = made.answers(["The boat left"])
    assert second.compile_joules == second.compile_milliseconds == 0 < second.joules
    cost = made.cost()
    compiled = (first.compile_milliseconds / 2, cost.milliseconds - cost.computing_milliseconds)
    assert compiled[0] == pytest.approx(compiled[1])
    assert 0 < cost.computing_joules < cost.joules and "without compilation" in str(cost)


def test_a_row_that_fails_after_its_computation_keeps_its_share(monkeypatch):
    made = classifier()
    made.meter = TDPEnergy(cpu_tdp_watts=8.0).open()
    finish = made.finish

    def refuse_second(state, outputs, options):
        if refused.pop(0):
            raise UserError("no answer")
        return finish(state, outputs, options)

    refused = [False, True]
    monkeypatch.setattr(made, "finish", refuse_second)
    good, failed = made.answers(["The ship left the harbour", "Paris"])
    assert failed.error == "no answer" and 0 < failed.joules < good.joules
    assert failed.milliseconds > 0
