"""Weight initialisers, and their assignment to parameters by rules over paths.

The kernels of a stack have a leading axis of layers, so fan-in is always the last axis but one.
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


def normal_around(mean: float, std: Positive):
    """N(mean, std²)."""

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        return mean + std * jax.random.normal(key, shape, dtype)

    return init


def truncated(std: Positive):
    """N(0, std²) truncated at two standard deviations (the original BERT)."""

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        return jax.random.truncated_normal(key, -2, 2, shape, dtype) * std

    return init


def fan_in(gain: Positive = 1.0):
    """N(0, gain² / fan-in): each output of a unit-variance input has variance gain²."""

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        return jax.random.normal(key, shape, dtype) * (gain * shape[-2] ** -0.5)

    return init


def depth_scaled(std: Positive, layers: int):
    """N(0, std² / 2L): keeps the variance of a residual sum over 2L sublayers.

    Radford et al. 2019, sec. 2.3.
    """
    return jax.nn.initializers.normal(std / (2 * layers) ** 0.5)


def reinitialise(params: dict, rules: Rules, key: Array) -> dict:
    """`params` with each leaf that a rule (regex, initialiser) matches initialised anew.

    The values of a leaf depend on the key and its path alone, so that adding a part to a model
    leaves the weights of the others unchanged. Raises RuleError for a rule that matches nothing.
    """
    chosen = decide(rules, named(params), what="model.init.rules")
    for path, init in chosen.items():
        if not callable(init):
            raise RuleError(
                f"model.init.rules: {init!r} for {path} is not an initialiser; write one, "
                "such as {_target_: jax.nn.initializers.normal, stddev: 0.02}"
            )

    def leaf(path: str, value: Array) -> Array:
        if path not in chosen:
            return value
        return chosen[path](
            jax.random.fold_in(key, zlib.crc32(path.encode())), value.shape, value.dtype
        )

    return named_map(leaf, params)
