"""What a model answers: the likeliest tokens are its own, and what differs is marked."""

import numpy as np
import pytest

from fxformer.inference.text_input import asked, chosen
from fxformer.inspect.predictions import payload
from fxformer.train.state import bind


def chances(opened, batch):
    """p of every token at every place, by one plain pass. [T V]."""
    model = bind(opened.shape, opened.params).model
    logits = np.asarray(model.logits(model(batch))[0], np.float64)
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def test_guesses_are_the_likeliest_tokens_of_the_model(run_of, kept):
    opened = kept.open(run_of("bert"))
    text = asked(opened, "the cat <mask> on a <mask>")
    found = payload(opened, text)
    assert found["what"] == "masked" and [one["at"] for one in found["hidden"]] == [3, 6]
    odds = chances(opened, text.batch)[:, : opened.objective.vocabulary.size]
    for one in found["hidden"]:
        best = np.sort(odds[one["at"]])[::-1][:5]
        np.testing.assert_allclose([p for _, p in one["best"]], best, atol=2e-4)
        assert "right" not in one  # nobody knows what was meant


def test_what_the_objective_hides_is_known(run_of, kept):
    run = run_of("bert")
    opened = kept.open(run)
    for text in (chosen(kept.held_out(run), 0), asked(opened, "the cat sat on a mat and ran to")):
        found = payload(opened, text)
        odds = chances(opened, text.batch)
        for slot, one in zip(text.marked, found["hidden"], strict=True):
            right = text.batch.targets[0, slot]
            assert one["p"] == pytest.approx(odds[one["at"], right], abs=2e-4)
            assert one["rank"] == 1 + (odds[one["at"]] > odds[one["at"], right]).sum()


def test_a_rewriting_stands_beside_the_original(run_of, kept):
    run = run_of("bart")
    opened = kept.open(run)
    text = chosen(kept.held_out(run), 0)
    found = payload(opened, text)
    assert found["what"] == "rewritten" and len(found["p"]) == len(found["wrote"])
    assert len(found["lost"]) == len(found["truth"])
    kept_both = [t for t, lost in zip(found["truth"], found["lost"], strict=True) if not lost]
    same = [t for t, other in zip(found["wrote"], found["other"], strict=True) if not other]
    assert kept_both == same
    typed = payload(opened, asked(opened, "the <mask> sat"))
    assert "truth" not in typed and typed["read"][2] == "<mask>"


def test_each_written_token_has_the_probability_it_had(run_of, kept):
    """Greedy: the token written is the likeliest at its place, given what was written before."""
    for kind in ("gpt", "prefix"):
        run = run_of(kind)
        opened = kept.open(run)
        found = payload(opened, asked(opened, "the cat sat on"))
        assert found["what"] == "continued" and found["read"][-1] == "on"
        ids = opened.tokenizer.encode("the cat sat on")
        given = len(found["read"])
        text = asked(opened, "the cat sat on").batch
        assert len(ids) + 1 == given
        first = chances(
            opened, text.replace(prefix=None if kind == "gpt" else np.ones((1, given), bool))
        )[-1]
        assert found["p"][0] == pytest.approx(first.max(), abs=2e-4)


@pytest.mark.parametrize("kind", ["electra", pytest.param("t5", marks=pytest.mark.slow)])
def test_other_objectives_answer_too(run_of, kept, kind):
    run = run_of(kind)
    opened = kept.open(run)
    for text in (chosen(kept.held_out(run), 0), asked(opened, "the cat sat on a mat and ran to")):
        found = payload(opened, text)
        assert found["what"] == {"electra": "replaced", "t5": "rewritten"}[kind]
        assert len(found["p"]) == len(found["read" if kind == "electra" else "wrote"])
        assert all(0 <= p <= 1 for p in found["p"])
