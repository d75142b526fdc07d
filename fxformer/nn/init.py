"""How weights are drawn: initialisers that read a kernel's own fan-in, not that of its stack.

A stack keeps its layers' kernels on a leading axis, so fan-in is always the last axis but one.
"""

import zlib

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fxformer.rules import RuleError, Rules, decide, named, named_map
from fxformer.types import Positive


def normal(std: Positive):
    """N(0, std²)."""
    return jax.nn.initializers.normal(std)


def around(mean: float, std: Positive):
    """N(mean, std²)."""

    def draw(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        return mean + std * jax.random.normal(key, shape, dtype)

    return draw


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


def redraw(params: dict, rules: Rules, key: Array) -> dict:
    """`params` with each leaf that a rule [regex, initialiser] decides drawn anew.

    The draw of a leaf depends on the key and its path alone, so adding a part to a model leaves
    the others' weights as they were. Raises RuleError for a rule that decides nothing.
    """
    chosen = decide(rules, named(params), what="model.init.rules")
    for path, draw in chosen.items():
        if not callable(draw):
            raise RuleError(
                f"model.init.rules: {draw!r} for {path} draws no numbers; write an initialiser, "
                "such as {_target_: jax.nn.initializers.normal, stddev: 0.02}"
            )

    def leaf(path: str, value: Array) -> Array:
        if path not in chosen:
            return value
        return chosen[path](
            jax.random.fold_in(key, zlib.crc32(path.encode())), value.shape, value.dtype
        )

    return named_map(leaf, params)
