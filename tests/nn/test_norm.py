"""Norms keep their digits where a one-pass variance loses them."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.nn.norm import LayerNorm, RMSNorm


@pytest.mark.parametrize("mean", [0.0, 3.0, 100.0])
def test_layer_norm_keeps_its_digits_far_from_zero(mean):
    x = np.random.default_rng(0).normal(mean, 0.1, (4, 64)).astype(np.float32)
    wide = x.astype(np.float64)
    want = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    got = LayerNorm(64, rngs=nnx.Rngs(0))(jnp.asarray(x))
    np.testing.assert_allclose(got, want, atol=2e-5 if mean < 50 else 1e-3)


def test_rms_norm_is_its_formula():
    x = np.random.default_rng(0).normal(2, 1, (4, 64)).astype(np.float32)
    want = x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(RMSNorm(64, rngs=nnx.Rngs(0))(jnp.asarray(x)), want, atol=1e-5)


def test_norms_of_bfloat16_are_taken_in_float32():
    x = jnp.full((1, 1024), 300.0, jnp.bfloat16).at[0, 0].set(302.0)
    got = LayerNorm(1024, rngs=nnx.Rngs(0))(x)
    assert got.dtype == jnp.bfloat16
    assert abs(float(got[0, 0]) - 1023**0.5) < 0.3  # one outlier among 1024, eps next to nothing
