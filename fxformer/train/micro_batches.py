"""Gradient of the loss over rows of a batch, by micro-batches where they are accumulated."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fxformer.errors import UserError
from fxformer.ops.dropout import batch_rows

Sums = dict[str, tuple[jax.Array, jax.Array]]  # {name: (sum, weight)}, float32 scalars
Evaluate = Callable[..., Sums]


def gradient_of_rows(evaluate: Evaluate, accumulate: int) -> Callable[..., tuple[dict, Sums]]:
    """Function (params, some rows of the batch, index of the first, key) -> gradient and sums.

    evaluate: (params, batch, key) -> sums
    accumulate: number of micro-batches, one at a time in memory
    """

    def local(params, batch, first, key):
        if accumulate > 1:
            return _accumulated(evaluate, params, _cut(batch, accumulate), key, first)
        with batch_rows(first, 1):
            return _gradients(evaluate, params, batch, key)

    return local


def _gradients(evaluate, params, batch, key) -> tuple[dict, Sums]:
    """Gradient of the sum (not the mean) of losses, float32 like the parameters; and the sums."""

    def total(params):
        sums = evaluate(params, batch, key)
        return sums["loss"][0], sums

    return jax.grad(total, has_aux=True)(params)


def _accumulated(evaluate, params, cuts, key, first) -> tuple[dict, Sums]:
    """Gradient and sums over micro-batches [A, B/A, ...], one at a time in memory.

    first: index of the first row
    """

    def add_one(carry, numbered):
        index, batch = numbered
        with batch_rows(first + index, count):
            new = _gradients(evaluate, params, batch, key)
        return jax.tree.map(jnp.add, carry, new), None

    count = jax.tree.leaves(cuts)[0].shape[0]
    one = jax.tree.map(lambda x: x[0], cuts)
    shapes = jax.eval_shape(lambda p, b: _gradients(evaluate, p, b, key), params, one)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), shapes)
    return jax.lax.scan(add_one, zeros, (jnp.arange(count), cuts))[0]


def _cut(batch: Any, parts: int) -> Any:
    """[B, ...] -> [A, B/A, ...]. Row i goes to part i % A, so shards stay in place."""
    size = jax.tree.leaves(batch)[0].shape[0]
    if size % parts:
        raise UserError(f"a batch of {size} rows does not split into {parts} micro-batches")

    def leaf(x):
        return jnp.moveaxis(x.reshape(size // parts, parts, *x.shape[1:]), 1, 0)

    return jax.tree.map(leaf, batch)
