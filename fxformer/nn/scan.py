"""Scan over the layers of a stack, whose attention windows may differ."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def scan_layers(
    layer: Callable, x: Float[Array, "B T D"], inputs, windows: Sequence[int | None], unroll: int
) -> tuple[Float[Array, "B T D"], Any]:
    """All layers, one after the other: `lax.scan` over their inputs, which are stacked.

    Where windows differ, the body of the scan is a whole period of them, so that each layer's is
    known when the program is traced; layers that make no whole period follow it.

    layer: (x, its inputs, its window) -> x, intermediates
    unroll: layers unrolled in the program
    """
    count = len(windows)
    fits = (p for p in range(1, count + 1) if windows[p:] == windows[: count - p])
    period = next(fits, 1)

    def several(x, inputs, windows):
        found = []
        for own, window in zip(unstacked(inputs, len(windows)), windows, strict=True):
            x, made = layer(x, own, window)
            found.append(made)
        return x, jax.tree.map(lambda *a: jnp.stack(a), *found)

    if period == 1:
        times = max(1, min(unroll, count))
        window = windows[0] if windows else None
        return jax.lax.scan(lambda x, own: layer(x, own, window), x, inputs, unroll=times)
    repeats = count // period
    whole, rest = split_leading(inputs, repeats * period)
    whole = jax.tree.map(lambda a: a.reshape(repeats, period, *a.shape[1:]), whole)
    times = max(1, min(unroll // period, repeats))
    body = functools.partial(several, windows=windows[:period])
    x, found = jax.lax.scan(body, x, whole, unroll=times)
    found = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)
    if count % period:
        x, more = several(x, rest, windows[repeats * period :])
        found = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), found, more)
    return x, found


def unstacked(tree, count: int) -> list:
    """The elements of stacked arrays. The gradient of `lax.split` is one concatenation, that of
    slices a sum of arrays as large as the whole."""

    def parts(a):
        if not jnp.issubdtype(a.dtype, jnp.inexact):
            return [a[i] for i in range(count)]
        return [part[0] for part in jax.lax.split(a, (1,) * count)]

    leaves, treedef = jax.tree.flatten(tree)
    split = [parts(leaf) for leaf in leaves]
    return [treedef.unflatten([own[i] for own in split]) for i in range(count)]


def split_leading(tree, size: int) -> tuple[Any, Any]:
    """(the first `size` elements of stacked arrays, the others); None where there are none."""

    def parts(a):
        if not jnp.issubdtype(a.dtype, jnp.inexact):
            return a[:size], a[size:]
        return tuple(jax.lax.split(a, (size, len(a) - size)))

    leaves, treedef = jax.tree.flatten(tree)
    if not leaves or len(leaves[0]) == size:
        return tree, None
    split = [parts(leaf) for leaf in leaves]
    first, second = (treedef.unflatten([own[i] for own in split]) for i in (0, 1))
    return first, second
