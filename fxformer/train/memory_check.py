"""Check that the training state fits into the memory of the devices, before compiling."""

import math
from typing import Any

import jax

from fxformer import memory
from fxformer.train.compile import donates
from fxformer.train.setup import Setup


def check_memory(setup: Setup) -> None:
    """Raise UserError where the state and the gradient alone exceed the devices' memory.

    This is a lower bound, without activations; `fxformer plan` compiles the step to include them.
    """
    device = setup.mesh.local_devices[0]
    copies = 1 if donates(setup.trainer.donate) else 2  # the old state and the new one
    params, frozen = (jax.tree.leaves(t) for t in (setup.abstract_state.params, setup.frozen))
    trained = [leaf for leaf, stop in zip(params, frozen, strict=True) if not stop]
    size = copies * bytes_per_device(setup.abstract_state) + bytes_per_device(trained)
    there = _free_device_memory(device)
    if there is None:  # all devices share the main memory
        there, size = memory.free(), size * len(setup.mesh.local_devices)
    memory.require(
        size,
        "model",
        f"training {setup.parameters:,} parameters (weights, optimizer state, gradient)",
        there,
        "write a smaller size=, model.dim or model.layers; see also optimizer=adafactor, mesh=fsdp",
    )


def bytes_per_device(tree: Any) -> int:
    """Bytes per device of a tree of abstract arrays with shardings."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _free_device_memory(
    device: jax.Device,  # type: ignore[reportInvalidTypeForm]  # jaxlib has no stubs
) -> int | None:
    """Free bytes of a device; None where it has no memory of its own."""
    if device.platform == "cpu":
        return None
    facts = device.memory_stats() or {}
    most = facts.get("bytes_limit")
    return None if most is None else most - facts.get("bytes_in_use", 0)
