"""Predictions: the most probable tokens, their probabilities, the difference to the target."""

import numpy as np
import pytest

from fxformer.inference.text_input import held_out_input, prediction_input
from fxformer.inspect.predictions import payload
from fxformer.train.state import bind


def probabilities(loaded, batch):
    """Probability of every token at every position, by one forward pass. [T V]."""
    model = bind(loaded.graphdef, loaded.params).model
    logits = np.asarray(model.logits(model(batch))[0], np.float64)
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def test_candidates_are_the_most_probable_tokens(run_of, kept):
    loaded = kept.open(run_of("bert"))
    text = prediction_input(loaded, "the cat <mask> on a <mask>")
    found = payload(loaded, text)
    assert found["kind"] == "masked" and [one["position"] for one in found["masked"]] == [3, 6]
    odds = probabilities(loaded, text.batch)[:, : loaded.objective.vocabulary.size]
    for one in found["masked"]:
        best = np.sort(odds[one["position"]])[::-1][:5]
        np.testing.assert_allclose([p for _, p in one["candidates"]], best, atol=2e-4)
        assert "target" not in one


def test_masked_tokens_of_the_objective_have_targets(run_of, kept):
    run = run_of("bert")
    loaded = kept.open(run)
    for text in (
        held_out_input(kept.held_out(run), 0),
        prediction_input(loaded, "the cat sat on a mat and ran to"),
    ):
        found = payload(loaded, text)
        odds = probabilities(loaded, text.batch)
        for slot, one in zip(text.scored, found["masked"], strict=True):
            right = text.batch.targets[0, slot]
            assert one["probability"] == pytest.approx(odds[one["position"], right], abs=2e-4)
            assert one["rank"] == 1 + (odds[one["position"]] > odds[one["position"], right]).sum()


def test_output_is_aligned_with_the_target(run_of, kept):
    run = run_of("bart")
    loaded = kept.open(run)
    text = held_out_input(kept.held_out(run), 0)
    found = payload(loaded, text)
    assert found["kind"] == "seq2seq" and len(found["probability"]) == len(found["output"])
    assert len(found["deleted"]) == len(found["target"])
    kept_both = [t for t, lost in zip(found["target"], found["deleted"], strict=True) if not lost]
    same = [t for t, other in zip(found["output"], found["inserted"], strict=True) if not other]
    assert kept_both == same
    plain_input = payload(loaded, prediction_input(loaded, "the <mask> sat"))
    assert "target" not in plain_input and plain_input["input"][2] == "<mask>"


def test_generated_tokens_have_their_probability(run_of, kept):
    """Greedy decoding: each token is the most probable one given the tokens before it."""
    for kind in ("gpt", "prefix"):
        run = run_of(kind)
        loaded = kept.open(run)
        found = payload(loaded, prediction_input(loaded, "the cat sat on"))
        assert found["kind"] == "continued" and found["input"][-1] == "on"
        ids = loaded.tokenizer.encode("the cat sat on")
        given = len(found["input"])
        text = prediction_input(loaded, "the cat sat on").batch
        assert len(ids) + 1 == given
        first = probabilities(
            loaded, text.replace(prefix=None if kind == "gpt" else np.ones((1, given), bool))
        )[-1]
        assert found["probability"][0] == pytest.approx(first.max(), abs=2e-4)


@pytest.mark.parametrize("kind", ["electra", pytest.param("t5", marks=pytest.mark.slow)])
def test_predictions_of_other_objectives(run_of, kept, kind):
    run = run_of(kind)
    loaded = kept.open(run)
    for text in (
        held_out_input(kept.held_out(run), 0),
        prediction_input(loaded, "the cat sat on a mat and ran to"),
    ):
        found = payload(loaded, text)
        assert found["kind"] == {"electra": "replaced", "t5": "seq2seq"}[kind]
        assert len(found["probability"]) == len(found["input" if kind == "electra" else "output"])
        assert all(0 <= p <= 1 for p in found["probability"])
