"""Dropout with random bits from a counter hash, and the splitting of keys that may be absent.

An element's decision is a function of the key, of its row in the batch of the step and of its place
in that row. So it does not depend on how the batch is cut: into micro-batches (see `batch_rows`),
over devices, or into blocks of queries.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Iterator, Sequence
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt32

Rows = tuple[Array | int, int]  # (row of the step's batch that comes first, distance to the next)
_ROWS: contextvars.ContextVar[Rows] = contextvars.ContextVar("rows", default=(0, 1))


@contextlib.contextmanager
def batch_rows(first: Array | int, stride: int) -> Iterator[None]:
    """Context for tracing a model on some rows of a batch: first, first + stride, …"""
    token = _ROWS.set((first, stride))
    try:
        yield
    finally:
        _ROWS.reset(token)


def drop(x: Array, rate: float, key: Array | None, *, per_row: bool = True) -> Array:
    """Dropout: x / (1 - rate) with probability 1 - rate, else 0. Srivastava et al. 2014.

    The probability is exact to 2^-32. The backward pass computes the decisions again, so no mask is
    kept.

    key: a jax PRNG key; None disables dropout (evaluation). Shape and dtype are those of `x`.
    per_row: whether the first axis of `x` is that of the batch; otherwise all rows share `x`
    """
    if key is None or rate == 0:
        return x
    if not per_row:
        return cast(Array, _dropped(x[None], seeds(key), rate))[0]
    return cast(Array, _dropped(x, row_seeds(key, len(x)), rate))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _dropped(x: Array, seed: UInt32[Array, "B 2"], rate: float) -> Array:
    return jnp.where(kept(seed, rate, counters(x.shape[1:])), x / (1 - rate), 0).astype(x.dtype)


def _dropped_forward(x, seed, rate):
    return _dropped(x, seed, rate), seed


def _dropped_backward(rate, seed, dy):
    return _dropped(dy, seed, rate), None


_dropped.defvjp(_dropped_forward, _dropped_backward)


def kept(
    seed: UInt32[Array, "B 2"], rate: float, counter: UInt32[Array, "*N"]
) -> Bool[Array, "B *N"]:
    """True with probability 1 - rate, a function of a row's seed and of `counter`.

    Two rounds of a multiply-and-shift hash (`mix`), the second half of the seed between them.
    """
    first, second = (seed[:, i].reshape(-1, *[1] * counter.ndim) for i in (0, 1))
    h = counter[None] + first
    h = (h ^ (h >> 16)) * jnp.uint32(0x21F0AAAD)
    h = (h ^ (h >> 15) ^ second) * jnp.uint32(0xD35A2D97)
    return h < jnp.uint32(min(round((1 - rate) * 2**32), 2**32 - 1))


def counters(
    shape: Sequence[int], strides: Sequence[int] | None = None, start: int = 0
) -> UInt32[Array, "*N"]:
    """start + Σ index · stride over the axes, modulo 2³²; None: strides that count the elements."""
    if strides is None:
        strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    found = jnp.full(tuple(shape), start % 2**32, jnp.uint32)
    for axis, stride in enumerate(strides):
        index = jax.lax.broadcasted_iota(jnp.uint32, tuple(shape), axis)
        found = found + index * jnp.uint32(stride % 2**32)
    return found


def row_seeds(key: Array, count: int) -> UInt32[Array, "B 2"]:
    """Seeds of `count` rows of the batch; which rows they are is known from `batch_rows`."""
    first, stride = _ROWS.get()
    row = jnp.asarray(first, jnp.uint32) + jnp.uint32(stride) * jnp.arange(count, dtype=jnp.uint32)
    return seeds(key, row)


def seeds(key: Array, row: UInt32[Array, "B"] | None = None) -> UInt32[Array, "B 2"]:
    """A seed for each of these rows; None: one seed, that of no row."""
    row = jnp.full((1,), 0xFFFFFFFF, jnp.uint32) if row is None else row
    both = jnp.stack([row * jnp.uint32(0x9E3779B1), ~row * jnp.uint32(0x85EBCA77)], axis=-1)
    for word in jax.random.key_data(key).reshape(-1):
        both = mix(both ^ word)
    return both


def mix(x: UInt32[Array, "*N"]) -> UInt32[Array, "*N"]:
    """A hash of 32 bits, one to one: Wellons, hash-prospector (two rounds, bias 0.107)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x21F0AAAD)
    x = (x ^ (x >> 15)) * jnp.uint32(0xD35A2D97)
    return x ^ (x >> 15)


def split_key(key: Array | None, count: int) -> tuple[Array | None, ...]:
    """`count` PRNG keys derived from `key`, or `count` times None where `key` is None."""
    return (None,) * count if key is None else tuple(jax.random.split(key, count))
