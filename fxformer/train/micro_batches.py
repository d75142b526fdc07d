"""Gradient of the loss over rows of a batch, by micro-batches where they are accumulated."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fxformer.errors import UserError
from fxformer.nn.memory import CarriedMemory
from fxformer.ops.dropout import batch_rows

Sums = dict[str, tuple[jax.Array, jax.Array]]  # {name: (sum, weight)}, float32 scalars
Read = tuple[Any, CarriedMemory | None]  # a batch, and the memory that its rows continue
Found = tuple[Sums, CarriedMemory | None]  # sums, and the memory after the batch
Gradient = tuple[dict, Sums, CarriedMemory | None]
Evaluate = Callable[..., Found]


def gradient_of_rows(evaluate: Evaluate, accumulate: int) -> Callable[..., Gradient]:
    """Function (params, some rows of what is read, index of the first, key) -> gradient, sums and
    memory of these rows.

    evaluate: (params, what is read, key) -> sums, memory
    accumulate: number of micro-batches, one at a time in memory
    """

    def local(params, read, first, key):
        if accumulate > 1:
            return _accumulated(evaluate, params, _cut(read, accumulate), key, first)
        with batch_rows(first, 1):
            return _gradients(evaluate, params, read, key)

    return local


def _gradients(evaluate, params, read, key) -> Gradient:
    """Gradient of the sum (not the mean) of losses, float32 like the parameters; sums, memory."""

    def total(params):
        sums, memory = evaluate(params, read, key)
        return sums["loss"][0], (sums, memory)

    grads, (sums, memory) = jax.grad(total, has_aux=True)(params)
    return grads, sums, memory


def _accumulated(evaluate, params, cuts, key, first) -> Gradient:
    """Gradient, sums and memory over micro-batches [A, B/A, ...], one at a time in memory.

    first: index of the first row
    """

    def add_one(carry, numbered):
        index, read = numbered
        with batch_rows(first + index, count):
            *new, memory = _gradients(evaluate, params, read, key)
        return jax.tree.map(jnp.add, carry, tuple(new)), memory

    count = jax.tree.leaves(cuts)[0].shape[0]
    one = jax.tree.map(lambda x: x[0], cuts)
    shapes = jax.eval_shape(lambda p, r: _gradients(evaluate, p, r, key)[:2], params, one)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), shapes)
    (grads, sums), memory = jax.lax.scan(add_one, zeros, (jnp.arange(count), cuts))
    return grads, sums, _joined(memory)


def _cut(tree: Any, parts: int) -> Any:
    """[B, ...] -> [A, B/A, ...]. Row i goes to part i % A, so shards stay in place."""
    size = jax.tree.leaves(tree)[0].shape[0]
    if size % parts:
        raise UserError(f"a batch of {size} rows does not split into {parts} micro-batches")

    def leaf(x):
        return jnp.moveaxis(x.reshape(size // parts, parts, *x.shape[1:]), 1, 0)

    return jax.tree.map(leaf, tree)


def _joined(tree: Any) -> Any:
    """[A, B/A, ...] -> [B, ...]: what `_cut` has cut."""

    def leaf(x):
        return jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:])

    return jax.tree.map(leaf, tree)
