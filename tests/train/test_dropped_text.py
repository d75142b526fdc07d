"""What the summary of a run says of text that was dropped."""

from collections import Counter
from types import SimpleNamespace

from fxformer.objective.coverage import NO_ROOM, NO_TARGET
from fxformer.train import summary_stats


def setup(train=0, valid=0):
    packing = {
        split: {"tokens_dropped": dropped, "padding_share": 0.1}
        for split, dropped in (("train", train), ("valid", valid))
    }
    facts = {"packing": packing, "unigram_nats": 3.0, "valid": {"bytes": None}}
    objective = SimpleNamespace(metric_names=(), needs_lm_head=True)
    data = SimpleNamespace(facts=facts, packed={"train": None, "valid": None})
    return SimpleNamespace(data=data, corpus=None, objective=objective, generated=None)


def seen(pieces, missing=0, **lost):
    return SimpleNamespace(pieces=pieces, missing=missing, lost=Counter(lost))


def words(given, text):
    totals = SimpleNamespace(seconds=1.0, tokens=100, waited=0.0)
    numbers = {"train": {}, "valid": {"loss": 2.0}}
    ended = SimpleNamespace(step=3, reason="", totals=totals, status="done", **numbers)
    return summary_stats.facts(given, ended, {}, text, {})


def test_nothing_dropped_is_said_too():
    text = summary_stats.text(setup(), seen(90), seen(12))
    assert text == {
        "tokens_dropped": {"train": {}, "valid": {}},
        "valid_pieces": 12,
        "valid_pieces_missing": 0,
    }
    told = words(setup(), text)
    assert any("no text dropped" in value for _, value in told)
    assert any("over 12 of 12 texts" in value for _, value in told)


def test_every_loss_is_counted_by_split_and_reason():
    given = setup(train=7)
    text = summary_stats.text(given, seen(90, 1, **{NO_ROOM: 5}), seen(1200, 3, **{NO_TARGET: 9}))
    assert text["tokens_dropped"] == {
        "train": {"left out by the packing": 7, NO_ROOM: 5},
        "valid": {NO_TARGET: 9},
    }
    told = words(given, text)
    assert ("dropped", f"5 tokens of train text: {NO_ROOM}") in told
    assert any("over 1,197 of 1,200 texts" in value for _, value in told)
    assert not any("no text dropped" in value for _, value in told)


def test_a_run_that_was_never_evaluated_says_nothing_of_held_out_texts():
    assert summary_stats.text(setup(), seen(5), None) == {
        "tokens_dropped": {"train": {}, "valid": {}}
    }
