"""The norm of a whole gradient, and clipping by it."""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def global_norm(tree: Any) -> jax.Array:
    """sqrt of the sum of squares of all elements, float32. Not finite if any element is not.

    It also overflows for elements beyond 1e19; a step with such a gradient is refused, not clipped.
    """
    squares = [jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares, jnp.float32(0)))


def clip_factor(norm: jax.Array, limit: float | None) -> jax.Array:
    """min(1, limit / norm); 1 when the norm is not finite: 0 * inf would turn one inf into NaNs
    everywhere and 1 / inf a large gradient into zeros, while the guard wants to see what came."""
    if limit is None:
        return jnp.float32(1)
    return jnp.where(jnp.isfinite(norm), limit / jnp.maximum(norm, limit), 1)


def clip_by_global_norm(limit: float | None) -> optax.GradientTransformation:
    """Gradients scaled by min(1, limit / norm). Pascanu et al. 2013, sec. 3.2."""

    def update(updates, state, params=None):
        if limit is None:
            return updates, state
        factor = clip_factor(global_norm(updates), limit)
        return jax.tree.map(lambda g: g * factor, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
