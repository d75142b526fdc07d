"""The step: sums, accumulation, the guard, the average, precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_training import Parts, batch, close, same

from fxformer.train.loop_state import averages
from fxformer.train.optim import SGD
from fxformer.train.precision import Precision
from fxformer.train.state import count_by_part, count_parameters


@pytest.mark.parametrize("dropout", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
def test_accumulation_is_exact_for_unequal_token_counts(dropout):
    outcomes = []
    for parts in (1, 2, 8):
        toy = Parts(accumulate=parts, dropout=dropout)
        state, sums = toy.state, None
        for n in range(3):
            state, sums = toy.step(state, batch(n))
        outcomes.append((state.params, sums))
    for other in outcomes[1:]:
        close(outcomes[0], other)


def test_loss_and_gradient_are_of_the_mean_over_targets():
    toy, given = Parts(SGD(lr=1.0, momentum=0.0, clip=None)), batch(0)

    def mean(params):
        loss, weight = toy.evaluate(params, given)[0]["loss"]
        return loss / weight

    state, sums = toy.step(toy.state, given)
    expected = jax.tree.map(lambda p, g: p - g, toy.state.params, jax.grad(mean)(toy.state.params))
    close(state.params, expected)
    assert averages(sums)["loss"] == pytest.approx(float(mean(toy.state.params)), rel=1e-6)


def test_rows_that_do_not_split_are_refused():
    toy = Parts(accumulate=3)
    with pytest.raises(ValueError, match="8 rows does not split into 3"):
        toy.step(toy.state, batch(0))


def test_a_step_that_is_not_finite_changes_nothing_but_time():
    toy = Parts(ema=0.9)
    state, sums = toy.step(toy.state, batch(5, bad=(5,)))
    assert same(
        (state.params, state.opt, state.ema), (toy.state.params, toy.state.opt, toy.state.ema)
    )
    assert (int(state.step), int(state.skipped), int(state.streak)) == (1, 1, 1)
    assert not np.isfinite(averages(sums)["loss"])
    state, _ = toy.step(state, batch(6))
    assert (int(state.skipped), int(state.streak)) == (1, 0)
    assert not same(state.params, toy.state.params)


def test_a_batch_without_targets_is_refused_and_not_a_number():
    toy, empty = Parts(), batch(0)
    empty = empty.replace(weights=np.zeros_like(empty.weights))
    state, sums = toy.step(toy.state, empty)
    assert same(state.params, toy.state.params)
    assert int(state.skipped) == 1
    assert np.isnan(averages(jax.device_get(sums))["loss"])


def test_the_average_follows_its_formula():
    toy = Parts(ema=0.9)
    expected, state = toy.state.params, toy.state
    for n in range(3):
        state, _ = toy.step(state, batch(n))
        expected = jax.tree.map(lambda a, p: 0.9 * a + 0.1 * p, expected, state.params)
    close(state.ema, expected)


def test_dropout_is_a_function_of_seed_and_step():
    toy = Parts(dropout=0.5)
    first, again = toy.step(toy.state, batch(0)), toy.step(toy.state, batch(0))
    later = toy.step(toy.state.replace(step=jnp.int32(1)), batch(0))
    assert same(first, again)
    assert not same(first[1]["loss"], later[1]["loss"])
    assert same(toy.evaluate(toy.state.params, batch(0)), toy.evaluate(toy.state.params, batch(0)))


def test_norms_and_tokens_are_among_the_sums():
    toy = Parts(SGD(lr=0.5, momentum=0.0, clip=None), rate=lambda count, spent: 0.5 - count)
    state, sums = toy.step(toy.state, batch(0))
    numbers = averages(sums)
    assert numbers["update_norm"] == pytest.approx(0.5 * numbers["gradient_norm"], rel=1e-5)
    squares = sum(float((p**2).sum()) for p in jax.tree.leaves(state.params))
    assert numbers["parameter_norm"] == pytest.approx(squares**0.5, rel=1e-5)
    assert (numbers["tokens"], numbers["skipped"], numbers["learning_rate"]) == (48, 0, 0.5)


def test_bfloat16_computes_low_and_keeps_high():
    low, high = Parts(precision=Precision(compute="bfloat16")), Parts()
    state, sums = low.step(low.state, batch(0))
    assert {p.dtype for p in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert sums["loss"][0].dtype == jnp.float32
    exact = averages(high.step(high.state, batch(0))[1])["loss"]
    assert averages(sums)["loss"] == pytest.approx(exact, rel=2e-2)
    assert averages(sums)["loss"] != exact


def test_precision_keeps_what_it_is_told():
    policy, params = Precision(compute="bfloat16", keep=["bias$"]), Parts().state.params
    cast = policy.cast(params)
    assert cast["head"]["bias"].dtype == jnp.float32
    assert cast["head"]["kernel"].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match=r"precision.keep.*head/bias"):
        Precision(keep=["head/bais"]).cast(params)


def test_parameters_are_counted():
    params = Parts().state.params
    assert count_parameters(params) == 16 * 8 + 2 * (64 + 8) + 8 * 16 + 16
    assert count_by_part(params, 1) == {"embedding": 128, "head": 144, "stack": 144}
