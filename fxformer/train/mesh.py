"""Device mesh with data and FSDP axes, and shardings of batches, parameters, optimizer state."""

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
class MeshConfig:
    """Mesh `data` x `fsdp`: batches are sharded over both axes, large arrays over `fsdp`.

    The compiler inserts the collectives: data parallelism sums gradients (all-reduce); sharded
    parameters are gathered in the compute dtype before use (all-gather), while float32 parameters,
    optimizer state and moving average stay sharded (ZeRO, Rajbhandari et al. 2020). This requires
    `make_step(compute_sharding=replicated(mesh))`: otherwise the compiler shards activations too,
    which was measured to move 11 times the parameters and to compile 3 times as long. Optimizer
    state and averages follow the same rule by shape, so they get the sharding of their parameter.
    The layer axis is never sharded: a scan takes one layer at a time from it.

    data: number of devices with full copies; -1: all remaining ones
    fsdp: number of devices that share the parameters; -1: all remaining ones
    min_size: arrays with fewer elements are not sharded
    rules: [regex, axis to shard or None], which precede the largest divisible axis
    """

    data: Devices = 1
    fsdp: Devices = 1
    min_size: Natural = 2**14
    rules: Sequence[tuple[str, Natural | None]] = ()

    def __post_init__(self) -> None:
        if 0 in (self.data, self.fsdp) or (self.data == -1 and self.fsdp == -1):
            raise UserError(
                f"mesh.data={self.data}, mesh.fsdp={self.fsdp}: numbers of devices; one may be -1"
            )

    def mesh(
        self,
        devices: Sequence[jax.Device]  # type: ignore[reportInvalidTypeForm]  # jaxlib has no stubs
        | None = None,
    ) -> Mesh:
        """Mesh over the first of `devices` (default: all). Raises UserError if too few."""
        devices = list(jax.devices() if devices is None else devices)
        data, fsdp = self.data, self.fsdp
        if data == -1:
            data = len(devices) // fsdp
        if fsdp == -1:
            fsdp = len(devices) // data
        if not 1 <= data * fsdp <= len(devices):
            raise UserError(
                f"mesh.data={self.data}, mesh.fsdp={self.fsdp} needs {max(data, 1) * max(fsdp, 1)} "
                f"devices, and there are {len(devices)}; write mesh=data to use all of them"
            )
        auto = (AxisType.Auto, AxisType.Auto)
        if data * fsdp < len(devices) and jax.process_count() > 1:
            raise UserError(
                f"mesh.data={self.data}, mesh.fsdp={self.fsdp} uses {data * fsdp} of "
                f"{len(devices)} devices, and several processes train on all of theirs; write "
                "mesh=data or mesh=fsdp"
            )
        grid = devices[: data * fsdp]
        return jax.make_mesh((data, fsdp), ("data", "fsdp"), axis_types=auto, devices=grid)

    def shardings(self, abstract_state: Any, mesh: Mesh) -> Any:
        """Tree of shardings for an (abstract) state. Raises UserError for rules that do not fit."""
        parts = mesh.shape["fsdp"]
        leaves = named(abstract_state)
        chosen = decide(self.rules, leaves, what="mesh.rules")

        def leaf(path: str, value: Any) -> NamedSharding:
            axis = chosen[path] if path in chosen else self._axis(path, value, parts)
            if axis is not None and axis >= value.ndim:
                raise UserError(
                    f"mesh.rules: {path} has no axis {axis}; its shape is {value.shape}; "
                    "write an axis from 0 on, or null to keep it whole"
                )
            if parts == 1 or axis is None:
                return NamedSharding(mesh, PartitionSpec())
            if value.shape[axis] % parts:
                raise UserError(
                    f"mesh.rules: axis {axis} of {path} {value.shape} is not divisible by {parts}"
                )
            return NamedSharding(mesh, PartitionSpec(*[None] * axis, "fsdp"))

        return named_map(leaf, abstract_state)

    def _axis(self, path: str, value: Any, parts: int) -> int | None:
        """Largest axis divisible by `parts`, the last on ties, never the layer axis; or None."""
        if value.size < self.min_size:
            return None
        axes = range(int(is_stacked(path)), value.ndim)
        fit = [axis for axis in axes if value.shape[axis] % parts == 0]
        return max(fit, key=lambda axis: (value.shape[axis], axis), default=None)


def with_shardings(abstract_state: Any, shardings: Any) -> Any:
    """The abstract state with its shardings, as `Checkpoints.restore` expects it."""

    def leaf(value: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)

    return jax.tree.map(leaf, abstract_state, shardings)


def abstractly_placed(tree: Any, sharding: NamedSharding) -> Any:
    """Shapes and dtypes of arrays, numpy's among them, as if put on the devices."""

    def leaf(value: Any) -> jax.ShapeDtypeStruct:
        dtype = jax.dtypes.canonicalize_dtype(value.dtype)
        return jax.ShapeDtypeStruct(value.shape, dtype, sharding=sharding)

    return jax.tree.map(leaf, tree)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Sharding of a batch: rows over all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def replicated(mesh: Mesh) -> NamedSharding:
    """Replicated sharding: a full copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def abstract_batch(batch: Any, mesh: Mesh) -> Any:
    """Shapes, dtypes and sharding of a whole batch on the devices."""
    return abstractly_placed(batch, batch_sharding(mesh))


def check_batch_size(size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Raise UserError unless `size` is divisible by the devices times the micro-batches."""
    unit = int(np.prod(list(mesh.shape.values()))) * accumulate
    if size % unit == 0 and size > 0:
        return
    below, above = size // unit * unit, (size // unit + 1) * unit
    near = f"{below} or {above}" if below else str(above)
    raise UserError(
        f"a batch of {size} rows is not divisible by {unit // accumulate} devices x "
        f"{accumulate} micro-batches = {unit}; write {near}"
    )
