"""Device mesh with data, FSDP and tensor axes, and shardings of batches, parameters, states."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fxformer.errors import UserError
from fxformer.rules import decide, is_stacked, named, named_map
from fxformer.types import Natural, Range

Devices = Annotated[int, Range(-1)]
FromEnd = Annotated[int, Range(-4, -1)]
AXES = ("data", "fsdp", "tensor")
ROWS = ("data", "fsdp")  # axes over which the rows of a batch are sharded


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Mesh `data` x `fsdp` x `tensor`: batches are sharded over the first two, large arrays over
    `fsdp`, attention heads, feed-forward width and vocabulary over `tensor`.

    Data parallelism sums gradients once a step (all-reduce). FSDP keeps a share of parameters,
    optimizer state and moving average on each device (ZeRO, Rajbhandari et al. 2020), gathers the
    parameters of one layer at a time in the compute dtype and scatters the sum of its gradients.
    Tensor parallelism splits the first matrix of a sublayer by columns and the second by rows, so
    that each sublayer has one all-reduce in a pass (Megatron-LM, Shoeybi et al. 2019, sec. 3).
    Optimizer state and averages follow the same rules by path, so they get the sharding of their
    parameter. The layer axis is never sharded: a scan takes one layer at a time from it.

    data: number of devices with full copies; -1: all remaining ones
    fsdp: number of devices that share the parameters; -1: all remaining ones
    tensor: number of devices that share each matrix product; -1: all remaining ones
    min_size: arrays with fewer elements, of a layer where they are stacked, are not sharded over
        `fsdp`
    rules: [regex, place] before all else; place: the axis to shard over `fsdp`, null to keep the
        array whole, or {axis of the mesh: axis of the array}, as in {fsdp: 1, tensor: 2}
    tensor_rules: [regex, axis to shard over `tensor`, counted from the end], where `rules` say
        nothing. An axis that `tensor` does not divide is kept whole
    """

    data: Devices = 1
    fsdp: Devices = 1
    tensor: Devices = 1
    min_size: Natural = 2**14
    rules: Sequence[tuple[str, Natural | dict[str, Natural] | None]] = ()
    tensor_rules: Sequence[tuple[str, FromEnd]] = ()

    def __post_init__(self) -> None:
        sizes = (self.data, self.fsdp, self.tensor)
        if 0 in sizes or sizes.count(-1) > 1:
            raise UserError(f"{self._words()}: numbers of devices; one may be -1")
        for _, place in (rule for rule in self.rules if len(rule) == 2):
            unknown = set(place) - set(AXES[1:]) if isinstance(place, Mapping) else ()
            if unknown:
                raise UserError(
                    f"mesh.rules: arrays are sharded over fsdp and tensor, not {min(unknown)}; "
                    "write an axis for each, as in {fsdp: 1, tensor: 2}"
                )

    def _words(self) -> str:
        """The sizes as a person writes them."""
        words = f"mesh.data={self.data}, mesh.fsdp={self.fsdp}"
        return words if self.tensor == 1 else f"{words}, mesh.tensor={self.tensor}"

    def mesh(
        self,
        devices: Sequence[jax.Device]  # type: ignore[reportInvalidTypeForm]  # jaxlib has no stubs
        | None = None,
    ) -> Mesh:
        """Mesh over the first of `devices` (default: all). Raises UserError if too few."""
        devices = list(jax.devices() if devices is None else devices)
        sizes = self.sizes(len(devices))
        needed = math.prod(sizes)
        if needed < len(devices) and jax.process_count() > 1:
            raise UserError(
                f"{self._words()} uses {needed} of {len(devices)} devices, and several processes "
                "train on all of theirs; write mesh=data or mesh=fsdp"
            )
        types = (AxisType.Auto,) * len(AXES)
        return jax.make_mesh(sizes, AXES, axis_types=types, devices=devices[:needed])

    def sizes(self, count: int) -> tuple[int, ...]:
        """Sizes of the axes for so many devices. Raises UserError if there are too few."""
        given = (self.data, self.fsdp, self.tensor)
        rest = count // math.prod(size for size in given if size != -1)
        sizes = tuple(rest if size == -1 else size for size in given)
        needed = math.prod(max(size, 1) for size in sizes)
        if 0 in sizes or needed > count:
            raise UserError(
                f"{self._words()} needs {needed} devices, and there are {count}; write mesh=data "
                "to use all of them"
            )
        return sizes

    def shardings(self, abstract_state: Any, mesh: Mesh) -> Any:
        """Tree of shardings for an (abstract) state. Raises UserError for rules that do not fit.

        What is under `memory` has rows, as a batch has, and is sharded like one."""
        leaves = {path: one for path, one in named(abstract_state).items() if not _has_rows(path)}
        chosen = decide(self.rules, leaves, what="mesh.rules")
        columns = self.tensor_axes(leaves, mesh)

        def leaf(path: str, value: Any) -> NamedSharding:
            if _has_rows(path):
                return batch_sharding(mesh)
            if path in chosen:
                place = _as_mapping(chosen[path])
                _check_fit(path, value, place, mesh)
            else:
                taken = columns.get(path)
                axis = self._axis(path, value, mesh.shape["fsdp"], taken)
                place = {"fsdp": axis, "tensor": taken}
            return NamedSharding(mesh, _spec(place, mesh))

        return named_map(leaf, abstract_state)

    def tensor_axes(self, leaves: Mapping[str, Any], mesh: Mesh) -> dict[str, int]:
        """{path: axis to shard over `tensor`} by `tensor_rules`, of those that it divides."""
        parts, found = mesh.shape["tensor"], {}
        for path, axis in _decided(self.tensor_rules, leaves).items() if parts > 1 else ():
            value = leaves[path]
            if value.ndim - is_stacked(path) >= -axis and value.shape[axis] % parts == 0:
                found[path] = value.ndim + axis
        return found

    def tensor_paths(self, leaves: Mapping[str, Any]) -> set[str]:
        """Paths of the arrays for which `tensor_rules` name an axis and `rules` nothing."""
        patterns = [pattern for pattern, _ in self.rules]
        return {
            path
            for path in _decided(self.tensor_rules, leaves)
            if not any(re.search(pattern, path) for pattern in patterns)
        }

    def _axis(self, path: str, value: Any, parts: int, taken: int | None) -> int | None:
        """Largest axis divisible by `parts`, the last on ties, never the layer axis or `taken`; or
        None."""
        layers = value.shape[0] if is_stacked(path) and value.ndim else 1
        if value.size < self.min_size * layers:
            return None
        axes = (axis for axis in range(int(is_stacked(path)), value.ndim) if axis != taken)
        fit = [axis for axis in axes if value.shape[axis] % parts == 0]
        return max(fit, key=lambda axis: (value.shape[axis], axis), default=None)


def _decided(rules: Sequence[tuple[str, int]], leaves: Mapping[str, Any]) -> dict[str, int]:
    """{path: value of the first rule that matches}. Other than of `decide`, a rule may match
    nothing: these name the parts of all architectures."""
    matching = [rule for rule in rules if any(re.search(rule[0], path) for path in leaves)]
    return decide(matching, leaves, what="mesh.tensor_rules")


def _as_mapping(place: int | Mapping[str, int] | None) -> dict[str, int | None]:
    """The place of a rule as {axis of the mesh: axis of the array}."""
    return {**place} if isinstance(place, Mapping) else {"fsdp": place}


def _check_fit(path: str, value: Any, place: Mapping[str, int | None], mesh: Mesh) -> None:
    """Raise UserError where an array has no such axis, or one that is not divisible."""
    for name, axis in place.items():
        if axis is not None and axis >= value.ndim:
            raise UserError(
                f"mesh.rules: {path} has no axis {axis}; its shape is {value.shape}; "
                "write an axis from 0 on, or null to keep it whole"
            )
        if axis is not None and value.shape[axis] % mesh.shape[name]:
            raise UserError(
                f"mesh.rules: axis {axis} of {path} {value.shape} is not divisible by "
                f"{mesh.shape[name]}"
            )
    if len(set(place.values())) < len(place):
        raise UserError(
            f"mesh.rules: {path}: axis {place['fsdp']} cannot be sharded over both fsdp and "
            "tensor; name two axes"
        )


def _spec(place: Mapping[str, int | None], mesh: Mesh) -> PartitionSpec:
    """PartitionSpec of {axis of the mesh: axis of the array}, without mesh axes of one device."""
    at = {axis: n for n, axis in place.items() if axis is not None and mesh.shape[n] > 1}
    return PartitionSpec(*(at.get(axis) for axis in range(max(at, default=-1) + 1)))


def _has_rows(path: str) -> bool:
    """Whether the first axis of a leaf of a state is that of a batch."""
    return path.split("/")[0] == "memory"


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
    """Sharding of a batch: rows over the axes data and fsdp."""
    return NamedSharding(mesh, PartitionSpec(ROWS))


def replicated(mesh: Mesh) -> NamedSharding:
    """Replicated sharding: a full copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def abstract_batch(batch: Any, mesh: Mesh) -> Any:
    """Shapes, dtypes and sharding of a whole batch on the devices."""
    return abstractly_placed(batch, batch_sharding(mesh))


def check_batch_size(size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Raise UserError unless `size` is divisible by the devices that share the rows, times the
    micro-batches."""
    unit = mesh.shape["data"] * mesh.shape["fsdp"] * accumulate
    if size % unit == 0 and size > 0:
        return
    below, above = size // unit * unit, (size // unit + 1) * unit
    near = f"{below} or {above}" if below else str(above)
    raise UserError(
        f"a batch of {size} rows is not divisible by {unit // accumulate} devices x "
        f"{accumulate} micro-batches = {unit}; write {near}"
    )
