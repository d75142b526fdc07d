"""Whether a run's state fits into the memory there is, judged before any of it is allocated."""

import math
from typing import Any

import jax

from fxformer import memory
from fxformer.train.compile import donates
from fxformer.train.setup import Setup


def check_memory(setup: Setup) -> None:
    """UserError where the state and its gradient alone are larger than the devices' memory.

    A lower bound: activations come on top. `fxformer plan` compiles the step to know them too.
    """
    device = setup.mesh.devices.flat[0]
    copies = 1 if donates(setup.trainer.donate) else 2  # the old state and the new one
    size = copies * held(setup.like) + held(setup.like.params)
    there = _limit(device)
    if there is None:  # all devices share the main memory
        there, size = memory.free(), size * setup.mesh.size
    memory.require(
        size,
        "model",
        f"training {setup.parameters:,} parameters (weights, optimizer state, gradient)",
        there,
        "write a smaller size=, model.dim or model.layers; see also optimizer=adafactor, mesh=fsdp",
    )


def held(tree: Any) -> int:
    """Bytes of a tree of abstract arrays on each device."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _limit(device: jax.Device) -> int | None:
    """Bytes that a device can still give; None where it has no memory of its own."""
    if device.platform == "cpu":
        return None
    facts = device.memory_stats() or {}
    most = facts.get("bytes_limit")
    return None if most is None else most - facts.get("bytes_in_use", 0)
