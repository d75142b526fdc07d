"""How weights are drawn: initialisers that read a kernel's own fan-in, not that of its stack.

A stack keeps its layers' kernels on a leading axis, so fan-in is always the last axis but one.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fxformer.types import Positive


def normal(std: Positive):
    """N(0, std²)."""
    return jax.nn.initializers.normal(std)


def truncated(std: Positive):
    """N(0, std²) cut off at two deviations, as the original BERT drew its weights."""

    def draw(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        return jax.random.truncated_normal(key, -2, 2, shape, dtype) * std

    return draw


def fan_in(gain: Positive = 1.0):
    """N(0, gain² / fan-in): each output of a unit-variance input has variance gain²."""

    def draw(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        return jax.random.normal(key, shape, dtype) * (gain * shape[-2] ** -0.5)

    return draw


def depth_scaled(std: Positive, layers: int):
    """N(0, std² / 2L): branches that add up over 2L sublayers keep the stream's variance.

    Radford et al. 2019, sec. 2.3.
    """
    return jax.nn.initializers.normal(std / (2 * layers) ** 0.5)
