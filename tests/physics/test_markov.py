"""A Markov chain: losses come down to the exact floors, and one that goes under is caught.

How far under its floor may a sound model be by chance? Of a held-out text that it has not seen,
q(x_t | past) / p(x_t | past) has mean 1 under the chain p, so the product over a text is a
martingale of mean 1, and P(product >= 1 / DOUBT) <= DOUBT (Ville 1939). In nats: summed over the
whole text a model may beat the chain itself by log(1 / DOUBT), once in 1 / DOUBT texts.
"""

import numpy as np
import pytest

from fxformer.config.check import problems
from fxformer.objective.causal import CausalLM
from fxformer.objective.masked import MaskedLM
from tests.physics.training import Trained, composed, trained

DOUBT = 1e-9
MARGIN = np.log(1 / DOUBT)  # nats, over a whole text or over the means of independent pieces


def chain(run: Trained):
    """The corpus, and the id of its first symbol."""
    return run.setup.corpus, run.setup.data.tokenizer.offset


def next_token_floor(run: Trained) -> tuple[float, int]:
    """Nats a token of the chain's own check on the very tokens that were scored, and how many."""
    corpus, first = chain(run)
    nats = np.concatenate(
        [
            -np.log(corpus.transitions[(b.tokens - first)[on], (b.targets - first)[on]])
            for b in run.held_out()
            for on in [b.weights > 0]
        ]
    )
    return float(nats.mean()), len(nats)


def test_a_decoder_reaches_the_entropy_rate_and_does_not_go_under_it():
    run = trained("experiment=markov_floor")
    floor, tokens = next_token_floor(run)
    rate = chain(run)[0].entropy_rate()
    assert abs(floor - rate) < 5 * 1.5 / tokens**0.5  # a token's nats have a deviation under 1.5
    assert run.valid["loss"] > floor - MARGIN / tokens
    assert run.valid["loss"] < rate + 0.03


def test_a_decoder_that_sees_what_it_predicts_is_caught(monkeypatch):
    leak = ("experiment=markov_floor", "model.decoder.causal=false", "trainer.steps=150")
    (refused,) = problems(composed(*leak))  # nobody gets that far unwittingly
    assert "CausalLM trains decoder models and this one is an encoder" in refused
    monkeypatch.setattr(CausalLM, "legal", frozenset({"encoder", "decoder"}))
    run = trained(*leak)
    floor, tokens = next_token_floor(run)
    assert run.valid["loss"] < floor - 100 * MARGIN / tokens


def masked_floors(run: Trained) -> tuple[float, float, int]:
    """Nats a target of the exact posterior given all that is seen, and given what is to the left
    of the target alone; and how many pieces there were."""
    corpus, first = chain(run)
    both, left, pieces = [], [], 0
    hidden = run.setup.objective.vocabulary.mask
    for batch in run.held_out():
        for row in range(len(batch.tokens)):
            length = int((batch.segments[row] == 1).sum())
            assert length == (batch.segments[row] > 0).sum()  # one piece a row
            tokens = batch.tokens[row, :length]
            on = batch.weights[row] > 0
            place, target = batch.picked[row, on], batch.targets[row, on] - first
            assert (tokens[place] == hidden).all()
            seen = np.eye(corpus.symbols)[np.where(tokens == hidden, 0, tokens - first)]
            seen[tokens == hidden] = 1
            both.append(-np.log(corpus.posterior(seen)[place, target]))
            left.append(-np.log(filtered(corpus, seen)[place, target]))
            pieces += length > 0
    return float(np.concatenate(both).mean()), float(np.concatenate(left).mean()), pieces


def filtered(corpus, seen: np.ndarray) -> np.ndarray:
    """P(x_t | what is seen at places <= t). [T, K]"""
    checks, check = [], corpus.stationary
    for likelihood in seen:
        checks.append(check * likelihood / (check @ likelihood))
        check = checks[-1] @ corpus.transitions
    return np.array(checks)


@pytest.mark.slow
def test_an_encoder_reaches_the_floor_of_both_sides_and_does_not_go_under_it():
    """The targets of one piece are not independent given what is seen; but the exponential of the
    mean of its log ratios has mean <= 1 (Jensen), so the argument holds with pieces for tokens."""
    run = trained("experiment=markov_masked")
    both, left, pieces = masked_floors(run)
    assert left - both > 0.3  # what it is worth to look to the right
    assert run.valid["loss"] > both - MARGIN / pieces
    assert run.valid["loss"] < both + 0.1
    assert run.valid["loss"] < left - 0.1


@pytest.mark.slow
def test_an_encoder_that_sees_the_left_alone_is_caught(monkeypatch):
    blind = ("experiment=markov_masked", "model.encoder.causal=true")
    (refused,) = problems(composed(*blind))
    assert "MaskedLM trains encoder models and this one is a decoder" in refused
    monkeypatch.setattr(MaskedLM, "legal", frozenset({"encoder", "decoder"}))
    run = trained(*blind)
    both, left, pieces = masked_floors(run)
    assert run.valid["loss"] > left - MARGIN / pieces
    assert run.valid["loss"] > both + 0.1
