"""What a step reads and writes: one plain pytree of arrays, and how it comes to be."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, UInt32

from fxformer.rules import named

Make = Callable[[jax.Array], nnx.Module]  # key -> the objective, with its model


@flax.struct.dataclass
class State:
    """Everything that decides how a run goes on, and nothing else.

    step: batches read so far, skipped ones included; decides the data position and the random key
    params: nested dict of float32 arrays
    opt: the optimizer's state; its own count of updates drives the schedule
    ema: moving average of params, or None
    key: raw data of the run's random key; step n draws from fold_in(key, n)
    skipped: steps so far whose update was refused because a number was not finite
    streak: how many of them in a row just now
    spent: share of the run's budget that is used, if the schedule follows it; else None
    """

    step: Int[Array, ""]
    params: dict
    opt: optax.OptState
    ema: dict | None
    key: UInt32[Array, "words"]
    skipped: Int[Array, ""]
    streak: Int[Array, ""]
    spent: Float[Array, ""] | None = None


def blueprint(make: Make) -> nnx.GraphDef:
    """The structure of `make(key)` without any array: hashable, free to build."""
    return nnx.split(nnx.eval_shape(lambda: make(jax.random.key(0))))[0]


def init(make: Make, key: jax.Array) -> dict:
    """The parameters of `make(key)` as a plain nested dict of arrays."""
    return nnx.to_pure_dict(nnx.split(make(key))[1])


def abstract(make: Make) -> dict:
    """What `init` would return, as shapes and dtypes only."""
    return jax.eval_shape(lambda key: init(make, key), jax.random.key(0))


def bind(shape: nnx.GraphDef, params: dict) -> nnx.Module:
    """The module with these parameters. Meant for inside jit, where it costs nothing."""
    return nnx.merge(shape, params)


def make_state(
    make: Make, tx: optax.GradientTransformation, *, ema: bool = False, paced: bool = False
) -> Callable[[jax.Array], State]:
    """The function key -> first State, to be jitted with the shardings of the state."""

    def start(key: jax.Array) -> State:
        first, rest = jax.random.split(key)
        params = init(make, first)
        return State(
            step=jnp.int32(0),
            params=params,
            opt=tx.init(params),
            ema=jax.tree.map(jnp.copy, params) if ema else None,
            key=jax.random.key_data(rest),
            skipped=jnp.int32(0),
            streak=jnp.int32(0),
            spent=jnp.float32(0) if paced else None,
        )

    return start


def count_parameters(params: Any) -> int:
    """How many numbers there are in a tree of (abstract) arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def count_by_part(params: Any, depth: int = 2) -> dict[str, int]:
    """Parameters under each path prefix of `depth` parts, in the tree's order."""
    counts: dict[str, int] = {}
    for path, leaf in named(params).items():
        part = "/".join(path.split("/")[:depth])
        counts[part] = counts.get(part, 0) + leaf.size
    return counts
