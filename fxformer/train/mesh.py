"""Devices as a mesh of two axes, and where batches, parameters and optimizer state lie on it."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fxformer.errors import UserError
from fxformer.rules import decide, is_stacked, named, named_map
from fxformer.types import Natural, Range

Devices = Annotated[int, Range(-1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """A mesh `data` x `fsdp`: batches are cut over both, big leaves over `fsdp`.

    The compiler places the collectives: data parallelism sums gradients (all-reduce); sharded
    parameters are gathered in the compute dtype before they are used (all-gather), while float32
    parameters, optimizer state and average stay in pieces (Rajbhandari et al. 2020). That is what
    `make_step(gathered=everywhere(mesh))` asks for: left to choose, the compiler cuts activations
    too and was measured to move 11 times the parameters, and to compile 3 times as long.
    Optimizer state and averages follow the same rule by shape, so they lie where their parameter
    does. The axis of layers is never cut: a scan takes one layer at a time from it.

    data: devices that hold full copies; -1: all that are left
    fsdp: devices that share the parameters; -1: all that are left
    smallest: leaves with fewer elements are never cut
    rules: [regex, axis to cut, or None] that come before the largest divisible axis
    """

    data: Devices = 1
    fsdp: Devices = 1
    smallest: Natural = 2**14
    rules: Sequence[tuple[str, Natural | None]] = ()

    def __post_init__(self) -> None:
        if 0 in (self.data, self.fsdp) or (self.data == -1 and self.fsdp == -1):
            raise UserError(
                f"mesh.data={self.data}, mesh.fsdp={self.fsdp}: counts of devices, one may be -1"
            )

    def mesh(self, devices: Sequence[jax.Device] | None = None) -> Mesh:
        """The mesh over the first of `devices` (all there are). UserError if too few."""
        devices = list(jax.devices() if devices is None else devices)
        data, fsdp = self.data, self.fsdp
        if data == -1:
            data = len(devices) // fsdp
        if fsdp == -1:
            fsdp = len(devices) // data
        if not 1 <= data * fsdp <= len(devices):
            raise UserError(
                f"mesh.data={self.data}, mesh.fsdp={self.fsdp} wants {max(data, 1) * max(fsdp, 1)} "
                f"devices, {len(devices)} are here; write mesh=data for all of them"
            )
        auto = (AxisType.Auto, AxisType.Auto)
        grid = devices[: data * fsdp]
        return jax.make_mesh((data, fsdp), ("data", "fsdp"), axis_types=auto, devices=grid)

    def place(self, like: Any, mesh: Mesh) -> Any:
        """A tree of shardings for the (abstract) state `like`."""
        parts = mesh.shape["fsdp"]
        leaves = named(like)
        chosen = decide(self.rules, leaves, what="mesh.rules")

        def leaf(path: str, value: Any) -> NamedSharding:
            axis = chosen[path] if path in chosen else self._axis(path, value, parts)
            if axis is not None and axis >= value.ndim:
                raise UserError(
                    f"mesh.rules: there is no axis {axis} of {path}, whose shape is {value.shape}; "
                    "write an axis from 0 on, or null to keep it whole"
                )
            if parts == 1 or axis is None:
                return NamedSharding(mesh, PartitionSpec())
            if value.shape[axis] % parts:
                raise UserError(f"mesh.rules: axis {axis} of {path} {value.shape} not in {parts}")
            return NamedSharding(mesh, PartitionSpec(*[None] * axis, "fsdp"))

        return named_map(leaf, like)

    def _axis(self, path: str, value: Any, parts: int) -> int | None:
        """The largest axis that the devices divide; the last of equals; never the layers'."""
        if value.size < self.smallest:
            return None
        axes = range(int(is_stacked(path)), value.ndim)
        fit = [axis for axis in axes if value.shape[axis] % parts == 0]
        return max(fit, key=lambda axis: (value.shape[axis], axis), default=None)


def target(like: Any, placement: Any) -> Any:
    """The abstract state `like` with its shardings: what `Checkpoints.restore` fills."""

    def leaf(value: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)

    return jax.tree.map(leaf, like, placement)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows over all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def everywhere(mesh: Mesh) -> NamedSharding:
    """A full copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """The host batch on the devices, rows divided among them."""
    return jax.device_put(batch, batch_sharding(mesh))


def check_batch(size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """UserError unless `size` rows divide among the devices and the micro-batches."""
    unit = int(np.prod(list(mesh.shape.values()))) * accumulate
    if size % unit == 0 and size > 0:
        return
    below, above = size // unit * unit, (size // unit + 1) * unit
    near = f"{below} or {above}" if below else str(above)
    raise UserError(
        f"a batch of {size} rows does not divide among {unit // accumulate} devices x "
        f"{accumulate} micro-batches = {unit}; write {near}"
    )
