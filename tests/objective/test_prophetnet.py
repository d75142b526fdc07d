"""ProphetNet's objective: how the streams are weighed, what is refused, and what leaks nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.flops.training import training_flops
from fxformer.objective.mass import MaskedSeq2Seq
from fxformer.objective.prophetnet import FutureNgramPrediction
from fxformer.rules import named
from fxformer.train.precision import Precision
from fxformer.train.state import bind, make_state
from fxformer.train.step import make_step
from tests.models import SMALL, close, network, normal_like

TINY = (*SMALL, "model.layers=1", "model.dropout=0.0")


@pytest.fixture(scope="module")
def make(vocabulary):
    """make(overrides, knobs) -> the objective on a tiny model, its weights well above noise."""

    def built(*overrides, model="prophetnet", objective=FutureNgramPrediction, **knobs):
        body = network(model, *TINY, *overrides)
        made = objective(body, vocabulary=vocabulary, rngs=nnx.Rngs(0), **knobs)
        shape, state = nnx.split(made)
        leaves, tree = jax.tree.flatten(nnx.to_pure_dict(state))
        noise = normal_like(leaves, 0.2, 0)
        wide = [x + more for x, more in zip(leaves, noise, strict=True)]
        return bind(shape, jax.tree.unflatten(tree, wide))

    return built


@pytest.fixture(scope="module")
def prophet(make):
    return make()


@pytest.fixture(scope="module")
def batch(prophet, pack):
    return prophet.corrupt(pack([[(0, 20), (1, 12)], [(2, 31)], [(3, 9)], []], 32))


def sums_of(objective, batch):
    shape, state = nnx.split(objective)
    found = jax.jit(lambda state: nnx.merge(shape, state)(batch))(state)
    return {name: (float(total), float(weight)) for name, (total, weight) in found.items()}


def gradients(objective, batch):
    shape, state = nnx.split(objective)

    def total(params):
        return bind(shape, params)(batch)["loss"][0]

    return named(jax.jit(jax.grad(total))(nnx.to_pure_dict(state)))


def test_the_checks_hold(prophet, corpus, broken):
    pairs = [(rows, prophet.corrupt(rows)) for rows in corpus]
    assert broken(objective_checks(prophet), pairs) == set()


def test_the_loss_weighs_the_streams(prophet, make, batch):
    even = sums_of(prophet, batch)
    assert {weight for _, weight in even.values()} == {batch.weights.sum()}
    both = even["nll"][0], even["nll_ahead_2"][0]
    assert both[0] != pytest.approx(both[1], rel=1e-3)
    assert even["loss"][0] == pytest.approx(sum(both) / 2, rel=1e-5)
    odd = sums_of(make(weights=(3.0, 1.0)), batch)
    assert odd["loss"][0] == pytest.approx(0.75 * both[0] + 0.25 * both[1], rel=1e-5)


@pytest.mark.slow
def test_stream_0_alone_is_mass(make, batch):
    """A weight of 0 leaves the loss of an ordinary decoder, and no gradient in the other stream."""
    one = make(weights=(1.0, 0.0))
    plain = make(objective=MaskedSeq2Seq, rate=0.15, block=64, start="pad")
    ours, theirs = sums_of(one, batch), sums_of(plain, batch)
    for name in ("loss", "nll", "accuracy"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-5), name
    mine, other = gradients(one, batch), gradients(plain, batch)
    for path, gradient in mine.items():
        close(gradient, other[path], 1e-4)
    assert jnp.abs(mine["model/decoder/ngram_embedding/embedding"][1]).max() == 0


def test_every_part_learns(prophet, batch):
    silent = [p for p, g in gradients(prophet, batch).items() if not float(jnp.abs(g).max())]
    assert silent == []


def test_packed_and_padded_rows_give_the_same_sums(prophet, pack):
    plans = (([[(0, 20), (1, 12)], [(2, 31)]], 32), ([[(1, 12), (2, 31)], [(0, 20)]], 48))
    first, other = (sums_of(prophet, prophet.corrupt(pack(*plan))) for plan in plans)
    for name, pair in first.items():
        assert pair == pytest.approx(other[name], rel=1e-5), name


def test_targets_are_nowhere_to_be_read(prophet, pack):
    """Stream s at the first token of a fragment is the same whatever stands in that fragment."""
    rows = pack([[(0, 40)]], 40)
    made = prophet.corrupt(rows)
    hit = np.flatnonzero(made.weights[0])
    tokens = made.tokens.copy()
    tokens[0, hit[1:]] = 7  # the decoder reads the fragment from its second place on
    found = [prophet.predicted_states(b)[0, :, hit[0]] for b in (made, made.replace(tokens=tokens))]
    close(*found, 0)
    assert (made.targets[0, hit] == rows.tokens[0, hit]).all()


@pytest.mark.slow
def test_a_cut_batch_gives_the_same_step(prophet, batch):
    shape, state = nnx.split(prophet)
    params, tx = nnx.to_pure_dict(state), optax.sgd(0.1)
    start = make_state(lambda key: bind(shape, params), tx)(jax.random.key(0))
    ends = []
    for parts in (1, 4):
        step = make_step(shape, tx, precision=Precision(), accumulate=parts)
        ends.append(jax.jit(step)(start, batch)[0].params)
    jax.tree.map(lambda a, b: close(a, b, 2e-5), *ends)


def test_the_arithmetic_counts_all_streams(prophet, batch):
    ((model, given, head, ahead),) = prophet.passes(batch)
    assert (given, head, ahead) == (batch, None, 2)
    tokens, targets = int((batch.segments > 0).sum()), int(batch.weights.sum())
    alone, both = training_flops(model, batch), training_flops(model, batch, None, 2)
    # stream 1: tokens before the last one and always the first, itself, and the source
    pairs = sum(n * (n + 1) // 2 + 1 + n * n for n in (20, 12, 31, 9))
    buckets = 24 * 32 * 4  # the bias: width · buckets · heads
    layer = 2 * tokens * (4 * 24**2 + buckets + 2 * 24**2 + 2 * 24 * 32) + 4 * 24 * pairs
    assert both - alone == 3 * (layer + 2 * targets * 200 * 24)


@pytest.mark.parametrize(
    "knobs, said",
    [
        ({"model": "seq2seq"}, "needs a decoder with streams.*model=prophetnet"),
        ({"weights": (1.0,)}, r"1 numbers for the 2 streams.*objective\.weights=\[1\.0, 1\.0\]"),
        ({"weights": (0.0, 0.0)}, "not all 0"),
    ],
)
def test_what_cannot_be_is_refused(knobs, said, make):
    with pytest.raises(ValueError, match=said):
        make(**knobs)
