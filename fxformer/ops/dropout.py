"""Dropout, and the splitting of random keys that may be absent."""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def drop(x: Array, rate: float, key: Array | None) -> Array:
    """Dropout: x / (1 - rate) with probability 1 - rate, else 0. Srivastava et al. 2014.

    key: a jax PRNG key; None disables dropout (evaluation). Shape and dtype are those of `x`.
    """
    if key is None or rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


def split_key(key: Array | None, count: int) -> tuple[Array | None, ...]:
    """`count` PRNG keys derived from `key`, or `count` times None where `key` is None."""
    return (None,) * count if key is None else tuple(jax.random.split(key, count))
