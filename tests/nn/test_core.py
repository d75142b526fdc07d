"""The dense layer's stated gradients, initialisers' variance."""

import jax
import jax.numpy as jnp
from flax import nnx

from fxformer.nn.core import FEW_ROWS, Linear, TransposedLinear, matmul
from fxformer.nn.init import depth_scaled, fan_in, truncated
from tests.models import close


def test_matmul_has_the_gradients_of_a_product():
    x, w = (jax.random.normal(jax.random.key(i), s) for i, s in ((0, (5, 3)), (1, (3, 4))))

    def loss(product):
        return lambda x, w: jnp.sin(product(x, w)).sum()

    for ours, plain in zip(
        jax.grad(loss(matmul), (0, 1))(x, w), jax.grad(loss(jnp.matmul), (0, 1))(x, w), strict=True
    ):
        close(ours, plain, 1e-6)


def test_initialisers_read_the_last_axis_but_one_of_a_stack():
    shape, key = (12, 256, 64), jax.random.key(0)
    assert abs(float(fan_in(1.0)(key, shape).std()) * 16 - 1) < 0.01
    assert abs(float(depth_scaled(0.02, 8)(key, shape).std()) / (0.02 / 4) - 1) < 0.01
    assert float(jnp.abs(truncated(0.02)(key, shape)).max()) <= 0.04


def test_a_transposed_kernel_is_the_same_map():
    linear = Linear(3, 5, rngs=nnx.Rngs(0))
    linear.bias[...] = jnp.arange(5.0)
    for rows in (1, 2, FEW_ROWS + 1):
        x = jax.random.normal(jax.random.key(rows), (rows, 2, 3))[:, :1]
        close(linear(x), TransposedLinear(linear)(x))
    assert TransposedLinear(linear).dim == linear.dim == 3
