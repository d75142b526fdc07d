"""The chain's text has the entropy the formula says."""

import numpy as np
import pytest

from fxformer.data.packing import Segments
from fxformer.data.synthetic import Markov


def chain(**knobs):
    base = dict(symbols=6, examples=400, valid_examples=10, example_length=500)
    return Markov(tokenizer=None, packing=Segments(), length=50, batch=4, **base | knobs)


def test_the_stationary_law_is_one():
    markov = chain()
    assert markov.stationary @ markov.transitions == pytest.approx(markov.stationary)
    assert markov.transitions.sum(1) == pytest.approx(1)


def test_entropy_is_what_the_text_shows():
    markov = chain()
    train = markov.source.splits["train"]
    x = train.tokens.reshape(400, 500) - 5
    counts = np.zeros((6, 6))
    np.add.at(counts, (x[:, :-1].ravel(), x[:, 1:].ravel()), 1)
    seen = counts / counts.sum(1, keepdims=True)
    logs = np.log(seen, where=counts > 0, out=np.zeros((6, 6)))
    empirical = -(counts * logs).sum() / counts.sum()
    assert markov.entropy_rate() == pytest.approx(empirical, abs=0.01)
    frequency = np.bincount(x.ravel()) / x.size
    assert frequency == pytest.approx(markov.stationary, abs=0.01)
    assert markov.entropy_rate() < markov.unigram_entropy() < np.log(6) + 1e-9


def test_posterior_is_bayes_by_enumeration():
    markov = chain(symbols=3)
    seen = np.ones((4, 3))
    seen[1] = [0, 1, 0]
    seen[3] = [0.2, 0.3, 0.5]
    joint = np.einsum(
        "a,ab,bc,cd,a,b,c,d->abcd", markov.stationary, *[markov.transitions] * 3, *seen
    )
    for t in range(4):
        expected = joint.sum(tuple({0, 1, 2, 3} - {t})) / joint.sum()
        assert markov.posterior(seen)[t] == pytest.approx(expected)


def test_the_data_does_not_follow_the_seed_of_the_run():
    a, b, c = chain().source, chain().source, chain(data_seed=1).source
    assert a.facts == b.facts and a.facts["corpus_hash"] != c.facts["corpus_hash"]
    assert a.facts["entropy_rate"] == chain().entropy_rate()
