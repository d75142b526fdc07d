"""Bytes that a training step moves between devices, from shapes and shardings, by axis of the mesh.

What is counted is what `train/step_sharding.py` and the compiler put into the program: tests count
the same bytes in compiled programs. A device sends 2 (n - 1) / n of what a ring of n sums
(all-reduce), (n - 1) / n of what is gathered or scattered. Sums of a few numbers are left out.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from fxformer.nn.ffn import GatedFeedForward
from fxformer.nn.stack import Stack
from fxformer.rules import named
from fxformer.train.mesh import ROWS, MeshConfig
from fxformer.train.setup import Setup

OWN = {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1}  # passes around the ring


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What one kind of operation moves in a step.

    axes: of the mesh, over whose devices it goes
    what: that is moved
    kind: all-reduce, all-gather or reduce-scatter
    devices: in a ring
    payload: bytes of the whole arrays on one device, before scattering or after gathering
    """

    axes: tuple[str, ...]
    what: str
    kind: str
    devices: int
    payload: float

    @property
    def sent(self) -> float:
        """Bytes that each device sends in a step."""
        return OWN[self.kind] * (self.devices - 1) / self.devices * self.payload


def step_traffic(setup: Setup, config: MeshConfig, mesh: Any) -> list[Traffic]:
    """The operations of a training step on a mesh, which may be abstract.

    An adapter and distillation are not counted: their runs gather other arrays at other times.
    """
    shape = mesh.shape
    every, rows = [*_parameters(setup, config, mesh)], shape["data"] * shape["fsdp"]
    if shape["tensor"] > 1:
        every += _activations(setup, config, mesh)
    sizes = {ROWS: rows, **{(name,): shape[name] for name in shape}}
    found: dict[tuple, float] = {}
    for axes, what, kind, payload in every:
        found[axes, what, kind] = found.get((axes, what, kind), 0.0) + payload
    return [
        Traffic(axes, what, kind, sizes[axes], payload)
        for (axes, what, kind), payload in found.items()
        if sizes[axes] > 1 and payload
    ]


Item = tuple[tuple[str, ...], str, str, float]  # axes, what, kind, bytes


def _parameters(setup: Setup, config: MeshConfig, mesh: Any) -> Iterator[Item]:
    """Gradients over `data` and `fsdp`, parameters over `fsdp`."""
    state = setup.abstract_state
    specs = {p: one.spec for p, one in named(config.shardings(state, mesh).params).items()}
    frozen, micro = named(setup.frozen), setup.trainer.accumulate
    computed = named(jax.eval_shape(setup.precision.cast, state.params))
    layers = _uses(setup.objective)
    for path, leaf in named(state.params).items():
        parts = mesh.shape["tensor"] if "tensor" in specs[path] else 1
        whole = leaf.size / parts  # elements on a device that has all of it that `tensor` leaves
        used = whole * computed[path].dtype.itemsize * micro
        gathered = "fsdp" in specs[path]
        if gathered:
            stacked = [one for prefix, one in layers.items() if path.startswith(prefix)]
            uses = stacked[0] / leaf.shape[0] if stacked else 1
            # those of layers again in the backward pass, others once for all micro-batches
            passes = 2 * uses if stacked else 1 / micro
            yield ("fsdp",), "parameters", "all-gather", passes * used
            if not frozen[path]:
                yield ("fsdp",), "gradients", "reduce-scatter", uses * used
                share = whole / mesh.shape["fsdp"]
                yield ("data",), "gradients", "all-reduce", share * leaf.dtype.itemsize
        elif not frozen[path]:
            yield ROWS, "gradients", "all-reduce", whole * leaf.dtype.itemsize


def _uses(objective: nnx.Module) -> dict[str, int]:
    """{prefix of the paths of stacked blocks: how many layers use one in a pass}."""
    return {
        f"{path}/blocks/": stack.layers - (stack.first_block is not None)
        for path, stack in stacks(objective)
    }


def stacks(objective: nnx.Module) -> Iterator[tuple[str, Stack]]:
    """(path, stack) of each stack of a module."""
    for parts, module in nnx.iter_modules(objective):
        if isinstance(module, Stack):
            yield "/".join(map(str, parts)), module


def _activations(setup: Setup, config: MeshConfig, mesh: Any) -> Iterator[Item]:
    """What sublayers, embeddings and the loss sum over `tensor`.

    A sublayer sums its output in the forward pass, and in the backward pass the gradient of its
    input: one array for each matrix that reads it.
    """
    batch, axes = setup.example_batch, ("tensor",)
    rows = mesh.shape["data"] * mesh.shape["fsdp"]
    size = np.dtype(setup.precision.compute).itemsize
    split = config.tensor_axes(named(setup.abstract_state.params), mesh)
    read = batch.segments.size / rows
    source = 0.0 if batch.source_segments is None else batch.source_segments.size / rows

    def summed(what: str, elements: float, itemsize: int = size) -> Item:
        return axes, what, "all-reduce", elements * itemsize

    for path, stack in stacks(setup.objective):
        own = source if source and "encoder" in path else read
        block, width = stack.blocks, _width(stack) * stack.layers
        if f"{path}/blocks/attention/o/kernel" in split:
            yield summed("attention", 4 * own * width)  # output; inputs of q, k, v
            if block.cross_attention is not None:
                yield summed("attention", 2 * own * width + 2 * source * width)
        if f"{path}/blocks/ffn/down/kernel" in split:
            matrices = 2 if isinstance(block.ffn, GatedFeedForward) else 1
            yield summed("feed-forward", (1 + matrices) * own * width)
    tables = {path: setup.abstract_state.params for path in split if path.endswith("/embedding")}
    leaves = named(setup.abstract_state.params)
    for path in tables:
        width = leaves[path].shape[-1]
        if "token_embedding" in path:
            shared = not any("source_embedding" in other for other in leaves)
            yield summed("embeddings", (read + source * shared) * width)
        elif "source_embedding" in path:
            yield summed("embeddings", source * width)
        if "output" in path or ("token_embedding" in path and _is_tied(leaves)):
            scored = math.prod(batch.weights.shape) / rows
            yield summed("loss", scored * (width * 4 + 3 * 4 + 1), 1)


def _width(stack: Stack) -> int:
    return stack.blocks.attention.o.kernel.shape[-1]


def _is_tied(leaves: Mapping[str, Any]) -> bool:
    """Whether the token embeddings are the output matrix."""
    return not any("head/output/" in path for path in leaves)
