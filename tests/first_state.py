"""The first state and the compiled step of a set-up, placed as training places them.

What `set_up` has traced is not traced again for arrays that lie on its mesh.
"""

from typing import Any

import jax

from fxformer.train.compile import StepProgram, compile_step
from fxformer.train.setup import Setup
from fxformer.train.state import State


def placement(setup: Setup) -> Any:
    """The sharding of each array of the state."""
    return jax.tree.map(lambda leaf: leaf.sharding, setup.abstract_state)


def first_state(setup: Setup, seed: int = 0) -> State:
    """The state before the first step."""
    return jax.jit(setup.init_state, out_shardings=placement(setup))(jax.random.key(seed))


def compiled_step(setup: Setup) -> StepProgram:
    """The jitted step (state, batch on the devices) -> (state, sums)."""
    return compile_step(setup.step, placement(setup), setup.mesh, donate=False)
