"""Arrays of the host on the devices of one or several processes, and back.

Where a process has all devices, an array is put as JAX puts it. Where others have some of them,
each process puts its own parts only: of a value that all have, or of rows that only it has made.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from fxformer.distributed.group import ProcessGroup
from fxformer.train.mesh import batch_sharding


def put(value: Any, sharding: Sharding) -> jax.Array:
    """An array that this process has whole, on all devices of a sharding."""
    if sharding.is_fully_addressable:
        return jax.device_put(value, sharding)
    value = np.asarray(value)
    return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])


def put_tree(tree: Any, shardings: Any) -> Any:
    """The same for a tree; shardings: one for all, or a tree of them."""
    if isinstance(shardings, Sharding):
        if shardings.is_fully_addressable:
            return jax.device_put(tree, shardings)
        return jax.tree.map(lambda leaf: put(leaf, shardings), tree)
    return jax.tree.map(put, tree, shardings)


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """Put a host batch, which every process has whole, on the devices, sharded by rows."""
    return put_tree(batch, batch_sharding(mesh))


def own_rows(size: int, mesh: Mesh) -> np.ndarray | None:
    """Numbers of the rows of a batch of `size` that devices of this process hold, ascending; None:
    all rows."""
    sharding = batch_sharding(mesh)
    if sharding.is_fully_addressable:
        return None
    parts = sharding.addressable_devices_indices_map((size,)).values()
    return np.unique(np.concatenate([np.arange(size)[part[0]] for part in parts if part]))


def put_rows(batch: Any, rows: np.ndarray | None, size: int, mesh: Mesh) -> Any:
    """A batch of `size` rows, of which this process has made `rows`, sharded by rows.

    rows: as from `own_rows`; the batch of the host has these alone
    """
    if rows is None:
        return put_tree(batch, batch_sharding(mesh))
    places = np.full(size, -1)
    places[rows] = np.arange(len(rows))
    sharding = batch_sharding(mesh)

    def leaf(value: Any) -> jax.Array:
        value = np.asarray(value)

        def part(index: Any) -> np.ndarray:
            return value[places[index[0]]]

        return jax.make_array_from_callback((size, *value.shape[1:]), sharding, part)

    return jax.tree.map(leaf, batch)


def on_host(tree: Any) -> Any:
    """The arrays of a tree as numpy, whole, in every process. All processes call it."""
    from jax.experimental import multihost_utils  # only where there are several processes

    def leaf(value: Any) -> np.ndarray:
        if isinstance(value, jax.Array) and not value.is_fully_addressable:
            if not value.is_fully_replicated:
                return np.asarray(multihost_utils.process_allgather(value, tiled=True))
        return np.asarray(value)

    return jax.tree.map(leaf, tree)


def on_own_device(tree: Any) -> Any:
    """The arrays of a tree whole on a device of this process, where they are spread over several
    processes; others as they are. All processes call it."""
    leaves = jax.tree.leaves(tree)
    if all(not isinstance(x, jax.Array) or x.is_fully_addressable for x in leaves):
        return tree
    return jax.device_put(on_host(tree), jax.local_devices()[0])


def connect(mesh: Mesh) -> None:
    """Let the devices of several processes connect, by a sum over each axis and over all of them.

    The first collective operation of a set of devices makes their connections, and fails where one
    process comes half a minute late: compilations may take longer than that.
    """
    spread = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    for axes in (*((name,) for name in mesh.axis_names), mesh.axis_names):
        ones = put(np.ones(mesh.size, np.float32), spread)
        total = jax.shard_map(
            functools.partial(jax.lax.psum, axis_name=axes),
            mesh=mesh,
            in_specs=PartitionSpec(mesh.axis_names),
            out_specs=PartitionSpec(tuple(n for n in mesh.axis_names if n not in axes)),
            check_vma=False,
        )
        jax.block_until_ready(jax.jit(total)(ones))


class CompiledTogether:
    """A jitted function whose first call with arguments of other shapes compiles in all processes
    before it runs in any; see `connect`."""

    def __init__(self, function: Callable[..., Any], group: ProcessGroup):
        self.jitted, self.group, self._known = jax.jit(function), group, {}

    def __call__(self, *arguments: Any) -> Any:
        shapes = tuple((np.shape(leaf), leaf.dtype) for leaf in jax.tree.leaves(arguments))
        key = (shapes, jax.tree.structure(arguments))
        if key not in self._known:
            self._known[key] = self.jitted.lower(*arguments).compile()
            self.group.barrier("compiled")
        return self._known[key](*arguments)
