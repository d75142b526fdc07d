"""Training state: one pytree of arrays, and functions that initialise and bind parameters."""

from collections.abc import Callable
from typing import Any, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, UInt32

from fxformer.nn.memory import CarriedMemory
from fxformer.rules import named

Make = Callable[[jax.Array], nnx.Module]  # key -> the objective, with its model
Module = TypeVar("Module", bound=nnx.Module)


@flax.struct.dataclass
class State:
    """Training state: everything on the devices that determines how a run continues.

    step: number of batches read, skipped ones included; determines data position and random key
    params: nested dict of float32 arrays
    opt: optimizer state; its own count of updates drives the schedule
    ema: exponential moving average of params, or None
    key: raw data of the random key of the run; step n draws from fold_in(key, n)
    skipped: number of steps whose update was skipped because a number was not finite
    streak: how many of the latest steps in a row were skipped
    budget_used: used share of the budget of the run, if the schedule follows it; else None
    memory: hidden states that the rows of the next batch continue (Transformer-XL), or None
    """

    step: Int[Array, ""]
    params: dict
    opt: optax.OptState
    ema: dict | None
    key: UInt32[Array, "words"]
    skipped: Int[Array, ""]
    streak: Int[Array, ""]
    budget_used: Float[Array, ""] | None = None
    memory: CarriedMemory | None = None


def abstract(make: Callable[[jax.Array], Module]) -> Module:
    """`make(key)` with shapes and dtypes in place of arrays; nothing is computed."""
    return nnx.eval_shape(lambda: make(jax.random.key(0)))


def graphdef_of(module: Module) -> nnx.GraphDef[Module]:
    """GraphDef of a module: its structure without arrays; hashable."""
    return nnx.split(module)[0]


def shapes_of(module: Any) -> dict:
    """Parameters of a module as shapes and dtypes only (ShapeDtypeStruct)."""

    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)

    return jax.tree.map(shape, nnx.to_pure_dict(nnx.split(module)[1]))


def init(make: Make, key: jax.Array) -> dict:
    """Parameters of `make(key)` as a nested dict of arrays."""
    return nnx.to_pure_dict(nnx.split(make(key))[1])


def bind(graphdef: nnx.GraphDef[Module], params: dict) -> Module:
    """The module with these parameters. For use inside jit, where merging is free."""
    return nnx.merge(graphdef, params)


def make_state(
    make: Make,
    tx: optax.GradientTransformation,
    *,
    ema: bool = False,
    with_budget: bool = False,
    parameters: Callable[[Make, jax.Array], dict] = init,
    memory: Callable[[], CarriedMemory] | None = None,
) -> Callable[[jax.Array], State]:
    """Function key -> initial State, to be jitted with the shardings of the state.

    parameters: (make, key) -> the parameters of the state
    memory: () -> an empty one; None: no memory is carried
    ema: with a moving average; with_budget: with `budget_used`, for a schedule that follows it
    """

    def start(key: jax.Array) -> State:
        first, rest = jax.random.split(key)
        params = parameters(make, first)
        return State(
            step=jnp.int32(0),
            params=params,
            opt=tx.init(params),
            ema=jax.tree.map(jnp.copy, params) if ema else None,
            key=jax.random.key_data(rest),
            skipped=jnp.int32(0),
            streak=jnp.int32(0),
            budget_used=jnp.float32(0) if with_budget else None,
            memory=None if memory is None else memory(),
        )

    return start


def count_parameters(params: Any) -> int:
    """Number of elements in a tree of (abstract) arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def count_by_part(params: Any, depth: int = 2) -> dict[str, int]:
    """Number of parameters under each path prefix of `depth` parts, in the order of the tree."""
    counts: dict[str, int] = {}
    for path, leaf in named(params).items():
        part = "/".join(path.split("/")[:depth])
        counts[part] = counts.get(part, 0) + leaf.size
    return counts
