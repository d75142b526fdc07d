"""What an optimizer's update changes, made only where the step is sound; its norm."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from fxformer.train.gradient_transforms import global_norm


@flax.struct.dataclass
class Updated:
    """What an update changes, and its norm for the log."""

    params: dict
    opt: optax.OptState
    ema: dict | None
    update_norm: jax.Array


def updated_where(fine: jax.Array, update: Callable[..., Updated], old: Updated) -> Updated:
    """`update(old, 1.0)` where `fine`, else `old`.

    On CPU a loop of one turn or none: unlike the results of a branch or a selection, what a loop
    carries is changed in place, so that no second copy of parameters and moments is allocated.
    The 1.0 comes from the counter of the loop; without it XLA would compute what depends on the
    gradients alone, two arrays as large as they are, before the loop. Elsewhere each element is
    selected: a loop makes a GPU wait for the host.
    """
    if jax.default_backend() == "cpu":
        turns = fine.astype(jnp.int32)
        return jax.lax.fori_loop(0, turns, lambda n, o: update(o, jnp.float32(1 + n)), old)
    selected = update(old, jnp.float32(1))
    return jax.tree.map(lambda a, b: jnp.where(fine, a, b), selected, old)


def norm_of_updates(
    updates: Callable[[jax.Array], Any], shown: jax.Array, one: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(norm of `updates(one)`, `one`); on CPU only where `shown`, else 0.

    The norm needs the state as it was, and the update overwrites it: the `one` that is returned
    depends on the norm, which is never below 0, so that the norm is computed first.
    """
    if jax.default_backend() != "cpu":
        return global_norm(updates(one)), one
    norm = jax.lax.cond(
        shown, lambda one: global_norm(updates(one)), lambda one: jnp.float32(0), one
    )
    return norm, one + jnp.minimum(norm, 0)
