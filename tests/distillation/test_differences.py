"""Soft targets: entropy against itself, the factor of the temperature, chunks, padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.distillation.layer_map import layer_pairs
from fxformer.errors import UserError
from fxformer.ops.distillation import Projection, differences, projected_differences

ROWS, WORDS, WIDTH = 23, 11, 5
WEIGHTS = (np.arange(ROWS) % 3 > 0).astype(np.float32)


def projection(seed: int, width: int = WIDTH) -> Projection:
    draw = np.random.default_rng(seed)
    arrays = draw.normal(size=(ROWS, width)), draw.normal(size=(WORDS, width)), draw.normal(size=11)
    return Projection(*(jnp.asarray(one, jnp.float32) for one in arrays))


def logits(one: Projection) -> np.ndarray:
    return np.asarray(one.features @ one.kernel.T + one.bias, np.float64)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_differences_are_those_of_float64_in_chunks_of_any_size(temperature):
    own, other = projection(0), projection(1, width=7)
    p, q = softmax(logits(other) / temperature), softmax(logits(own) / temperature)
    cross = (WEIGHTS * -(p * np.log(q)).sum(-1)).sum()
    divergence = (WEIGHTS * (p * np.log(p / q)).sum(-1)).sum()
    squared = (WEIGHTS * np.square(logits(own) - logits(other)).mean(-1)).sum()
    for chunk in (1, 4, 23, 256):
        found = projected_differences(
            own, other, jnp.asarray(WEIGHTS), temperature=temperature, chunk=chunk
        )
        np.testing.assert_allclose(found, (cross, divergence, squared), rtol=2e-5)


def test_a_model_against_itself_has_its_entropy_and_no_gradient():
    one = projection(2)
    p = softmax(logits(one) / 2.0)
    entropy = (WEIGHTS * -(p * np.log(p)).sum(-1)).sum()

    def loss(features):
        own = one._replace(features=features)
        return projected_differences(own, one, jnp.asarray(WEIGHTS), temperature=2.0).cross_entropy

    value, slope = jax.value_and_grad(loss)(one.features)
    assert float(value) == pytest.approx(entropy, rel=1e-5)
    assert np.abs(slope).max() < 1e-6
    same = differences(one.features, one.features, jnp.asarray(WEIGHTS), 1.0)
    assert float(same.divergence) == pytest.approx(0, abs=1e-5) and float(same.squared) == 0


def test_the_gradient_at_a_high_temperature_is_that_of_the_squared_difference():
    """T² keeps its size: for T → ∞ the gradient is (z - v) / V of centred logits (Hinton et al.
    2015, sec. 2.1); without the factor it would vanish."""
    own, other = jnp.asarray(logits(projection(0))), jnp.asarray(logits(projection(1)))
    own, other = (x - x.mean(-1, keepdims=True) for x in (own, other))
    high = 1000.0
    scaled = jax.grad(lambda z: high**2 * differences(z, other, jnp.ones(ROWS), high)[0])(own)
    np.testing.assert_allclose(scaled, (own - other) / WORDS, atol=0.02)
    assert np.abs(scaled).max() > 0.1


def test_rows_of_weight_0_may_hold_nan_and_reach_no_gradient():
    own, other = projection(0), projection(1)
    holes = jnp.where(jnp.asarray(WEIGHTS)[:, None] > 0, own.features, jnp.nan)

    def loss(features, kernel):
        wrong = Projection(features, kernel, own.bias)
        return projected_differences(wrong, other, jnp.asarray(WEIGHTS), chunk=5).cross_entropy

    clean = jax.grad(loss, argnums=(0, 1))(own.features, own.kernel)
    dirty = jax.grad(loss, argnums=(0, 1))(holes, own.kernel)
    for a, b in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.any(np.asarray(clean[0])[WEIGHTS == 0])


def test_layers_are_paired_by_rule():
    assert layer_pairs("last", 6, 12, "x") == [(6, 12)]
    assert layer_pairs("uniform", 3, 12, "x") == [(1, 4), (2, 8), (3, 12)]
    assert layer_pairs("uniform", 3, 4, "x") == [(1, 2), (2, 3), (3, 4)]
    assert layer_pairs([[0, 0], [3, 1]], 3, 4, "x") == [(0, 0), (3, 1)]
    for wrong, words in (([[4, 1]], "no layer 4"), ([[1]], "no pair"), ("first", "last, uniform")):
        with pytest.raises(UserError, match=words):
            layer_pairs(wrong, 3, 4, "terms.hidden.layers")
