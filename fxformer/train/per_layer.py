"""Optimizers that treat a tensor as a whole, made to see each layer of a stack by itself."""

from typing import Any

import jax
import optax

from fxformer.rules import STACK, is_stacked, named


def per_layer(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """`tx` as if every stacked leaf [L, ...] were L separate leaves; exact.

    Adafactor's factors and root mean squares and Muon's orthogonalisation are properties of one
    matrix; over a stack of layers they would mix them. The leaves of each stack are gathered and
    `tx` is mapped over their leading axis; the others see `tx` unchanged. Inside, a tree is the
    flat dict {path: leaf}.
    """

    def init(params: Any) -> dict[str, optax.OptState]:
        return {
            name: (jax.vmap(tx.init) if name else tx.init)(part)
            for name, part in _groups(params).items()
        }

    def update(updates: Any, state: dict[str, optax.OptState], params: Any = None):
        parts, new, states = _groups(params), {}, {}
        for name, part in _groups(updates).items():
            go = jax.vmap(tx.update) if name else tx.update
            changed, states[name] = go(part, state[name], parts[name])
            new |= changed
        leaves = [new[path] for path in named(updates)]
        return jax.tree.unflatten(jax.tree.structure(updates), leaves), states

    return optax.GradientTransformation(init, update)


def _groups(tree: Any) -> dict[str, dict[str, jax.Array]]:
    """Leaves by the stack they belong to; those of no stack under the empty name."""
    groups: dict[str, dict[str, jax.Array]] = {}
    for path, leaf in named(tree).items():
        # The end of a path names the stack it is in: encoder and decoder differ in depth.
        stack = f"/{path}".partition(STACK)[0] + STACK if is_stacked(path) else ""
        groups.setdefault(stack, {})[path] = leaf
    return groups
