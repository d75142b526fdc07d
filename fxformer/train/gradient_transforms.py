"""Gradient transformations: clipping by global norm, and per-layer application over stacks."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from fxformer.rules import STACK, is_stacked, named


def global_norm(tree: Any) -> jax.Array:
    """Global norm: sqrt of the sum of squares of all elements, float32.

    Not finite if any element is not. It overflows for elements beyond 1e19; a step with such a
    gradient is skipped, not clipped.
    """
    squares = [jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares, jnp.float32(0)))


def clip_factor(norm: jax.Array, limit: float | None) -> jax.Array:
    """Clipping factor min(1, limit / norm); 1 when the norm is not finite.

    Scaling by 0 * inf would turn one inf into NaNs replicated, and 1 / inf a large gradient into
    zeros; the check for non-finite gradients must see the original values.
    """
    if limit is None:
        return jnp.float32(1)
    return jnp.where(jnp.isfinite(norm), limit / jnp.maximum(norm, limit), 1)


def clip_by_global_norm(limit: float | None) -> optax.GradientTransformationExtraArgs:
    """Clip gradients by their global norm: scale by min(1, limit / norm).

    Pascanu et al. 2013, sec. 3.2. Its update takes the norm where it is already known
    (`gradient_norm`), which saves a pass over the gradients.
    """

    def update(updates, state, params=None, *, gradient_norm=None, **_):
        if limit is None:
            return updates, state
        norm = global_norm(updates) if gradient_norm is None else gradient_norm
        factor = clip_factor(norm, limit)
        return jax.tree.map(lambda g: g * factor, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def per_layer(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """Apply `tx` as if every stacked leaf [L, ...] were L separate leaves; exact.

    Adafactor's factors and root mean squares and Muon's orthogonalisation are properties of one
    matrix; on stacked layers they would mix layers. `tx` is mapped (vmap) over the leading axis of
    the leaves of each stack; other leaves get `tx` itself. Inside, a tree is a flat dict
    {path: leaf}.
    """

    def init(params: Any) -> dict[str, optax.OptState]:
        return {
            name: (jax.vmap(tx.init) if name else tx.init)(part)
            for name, part in _groups(params).items()
        }

    def update(updates: Any, state: Any, params: Any = None):
        parts, states = _groups(params), {}
        new: dict[str, jax.Array] = {}
        for name, part in _groups(updates).items():
            go = jax.vmap(tx.update) if name else tx.update
            changed, states[name] = go(part, state[name], parts[name])
            new |= cast(dict[str, jax.Array], changed)
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
