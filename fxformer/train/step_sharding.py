"""How a step is computed on a mesh: rows, sums of gradients, gathered layers, split matrices.

The axes `data` and `fsdp` are manual (`jax.shard_map`): each device computes loss and gradient of
its own rows, and what is summed or gathered is written here, once. The axis `tensor` is left to the
compiler, which splits the matrix products as the parameters are split.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fxformer.nn.stack import Stack
from fxformer.ops.dropout import batch_rows
from fxformer.rules import ADAPTER, DISTILLATION, named, named_map
from fxformer.train.mesh import ROWS
from fxformer.train.state import bind

Module = TypeVar("Module", bound=nnx.Module)
ROW_SPEC, REPLICATED = PartitionSpec(ROWS), PartitionSpec()
LAYERS = 0  # axis of layers of a stacked array


@dataclasses.dataclass(frozen=True, eq=False)
class StepSharding:
    """The mesh of a step and where each parameter is on it.

    params: {path: shape, dtype and sharding} of the parameters of a state
    manual: whether rows, sums and gathers are as written here; otherwise the compiler shards a
        program of the whole batch and gathers all parameters at once: for a loss that compares
        rows with each other (distillation)
    """

    mesh: Mesh
    params: Mapping[str, jax.ShapeDtypeStruct]
    manual: bool = True

    @classmethod
    def of(cls, abstract: Any, mesh: Mesh, *, manual: bool = True) -> "StepSharding | None":
        """That of (abstract) parameters with shardings; None: there is one device."""
        return None if mesh.size == 1 else cls(mesh, named(abstract), manual)

    def gradients(
        self, local: Callable, params: dict, batch: Any, key: jax.Array, frozen: Any
    ) -> tuple[dict, Any, Any]:
        """(gradient, sums) of a whole batch, each summed over the devices once; and what is carried
        on from its rows.

        local: (params, rows of one device, index of the first of them, key) -> (gradient, sums,
            what is carried on, whose arrays have a row for each of the batch)
        frozen: tree of booleans: parameters whose gradient is 0; None: there are none
        """

        def own(params, batch, rows, data):
            grads, sums, more = local(params, batch, rows[0], jax.random.wrap_key_data(data))
            return *self._summed(grads, sums, {} if frozen is None else named(frozen)), more

        stored = self._stored_specs(params)
        specs = (stored, ROW_SPEC, ROW_SPEC, REPLICATED)
        function = self._mapped(own, specs, (stored, REPLICATED, ROW_SPEC))
        return function(params, batch, _row_numbers(batch), jax.random.key_data(key))

    def evaluation(self, local: Callable, params: dict, batch: Any) -> tuple[Any, Any]:
        """(sums over the whole batch, outputs of all rows).

        local: (params, batch) -> (sums, outputs, whose arrays have a row for each of the batch)
        """

        def own(params, batch, rows):
            with batch_rows(rows[0], 1):
                sums, outputs = local(params, batch)
            return self._total(sums, ROWS), outputs

        specs = (self._stored_specs(params), ROW_SPEC, ROW_SPEC)
        function = self._mapped(own, specs, (REPLICATED, ROW_SPEC))
        return function(params, batch, _row_numbers(batch))

    def whole_if_adapted(self, params: dict) -> dict:
        """The parameters, those whole that an adapter adds or changes."""
        if not self.manual or not {ADAPTER, DISTILLATION} & set(params):
            return params
        paths = named(params)

        def leaf(path: str, value: jax.Array) -> jax.Array:
            added = path.split("/")[0] in (ADAPTER, DISTILLATION)
            changed = f"{ADAPTER}/{path}/a" in paths
            return self._gathered(path, value) if added or changed else value

        return named_map(leaf, params)

    def bind(self, graphdef: nnx.GraphDef[Module], params: dict) -> Module:
        """The module with its parameters, already cast, as the computation reads them: split over
        `tensor`, and whole over `fsdp`; a stack gathers its layers one at a time."""
        if not self.manual:
            return bind(graphdef, self._split(params))
        layered = {
            id(leaf) for one in _stacks(bind(graphdef, params)) for leaf in jax.tree.leaves(one[1])
        }

        def leaf(path: str, value: jax.Array) -> jax.Array:
            later = id(value) in layered and self._fsdp_axis(path, value) != LAYERS
            return value if later else self._gathered(path, value)

        early = self._split(named_map(leaf, params))
        module = bind(graphdef, early)
        left = {
            id(value): self._gather(path, value, skip=1)
            for path, value in named(early).items()
            if self._fsdp_axis(path, value) is not None
        }
        for stack, blocks in _stacks(module):
            gathers = jax.tree.map(lambda x: left.get(id(x), _as_it_is), blocks)
            if any(one is not _as_it_is for one in jax.tree.leaves(gathers)):
                stack.gather = LayerGather(gathers)
        return module

    def _gathered(self, path: str, value: jax.Array) -> jax.Array:
        whole = self._fsdp_axis(path, value) is None
        return value if whole else self._gather(path, value)(value)

    def _gather(self, path: str, value: jax.Array, skip: int = 0) -> Callable:
        """Function that gathers a parameter, or that without its first `skip` axes."""
        axis = self._fsdp_axis(path, value)
        assert axis is not None
        gather = functools.partial(
            jax.lax.all_gather, axis_name="fsdp", axis=axis - skip, tiled=True
        )
        spec = PartitionSpec(*_only("tensor", self.params[path].sharding.spec)[skip:])
        if "tensor" not in spec:
            return gather
        names = {"tensor"}  # the compiler does not split a gather of manual axes over `tensor`
        return jax.shard_map(
            gather, in_specs=(spec,), out_specs=spec, axis_names=names, check_vma=False
        )

    def _fsdp_axis(self, path: str, value: jax.Array) -> int | None:
        """Axis that is sharded over `fsdp`; None: the value is whole, or has been gathered."""
        known = self.params[path]
        spec = tuple(known.sharding.spec)
        return None if value.shape == known.shape or "fsdp" not in spec else spec.index("fsdp")

    def _stored_specs(self, params: dict) -> Any:
        """Specs of the parameters of a state over the manual axes."""
        return named_map(lambda path, _: _only("fsdp", self.params[path].sharding.spec), params)

    def _split(self, params: Any) -> Any:
        """Parameters or gradients split over `tensor`; of a program of the whole batch also whole
        over the other axes."""
        if self.manual and self.mesh.shape["tensor"] == 1:
            return params

        def leaf(path: str, value: jax.Array) -> jax.Array:
            spec = _only("tensor", self.params[path].sharding.spec)
            place = spec if self.manual else NamedSharding(self.mesh, spec)
            return jax.lax.with_sharding_constraint(value, place)

        return named_map(leaf, params)

    def _summed(self, grads: dict, sums: Any, frozen: Mapping[str, bool]) -> tuple[dict, Any]:
        """Gradients and sums over all rows: one sum, and one over `data` of those that the
        gradient of a gather has summed over `fsdp`."""
        given = {p: g for p, g in named(self._split(grads)).items() if not frozen.get(p)}
        scattered = {p: g for p, g in given.items() if "fsdp" in self.params[p].sharding.spec}
        rest = {p: g for p, g in given.items() if p not in scattered}
        rest, sums = self._total((rest, sums), ROWS)
        done = rest | self._total(scattered, ("data",))
        return named_map(lambda p, g: done.get(p, jnp.zeros_like(g)), grads), sums

    def _total(self, tree: Any, axes: tuple[str, ...]) -> Any:
        axes = tuple(name for name in axes if self.mesh.shape[name] > 1)
        return jax.lax.psum(tree, axes) if axes else tree

    def _mapped(self, function: Callable, specs: tuple, out_specs: tuple) -> Callable:
        tensor = self.mesh.shape["tensor"] > 1
        names = ROWS if tensor else self.mesh.axis_names
        return jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=specs,
            out_specs=out_specs,
            axis_names=set(names),
            check_vma=False,  # gradients of replicated parameters stay unsummed
        )


@dataclasses.dataclass(frozen=True, eq=False)  # eq=False keeps it hashable
class LayerGather:
    """Makes the parameters of one layer whole that devices share.

    gathers: tree of functions of the parameters of a layer
    """

    gathers: Any

    def __call__(self, params: Any) -> Any:
        return jax.tree.map(lambda value, gather: gather(value), params, self.gathers)


def _as_it_is(value: jax.Array) -> jax.Array:
    return value


def _stacks(module: nnx.Module) -> Iterator[tuple[Stack, Any]]:
    """(stack, state of its stacked blocks) of each stack of a module."""
    for _, part in nnx.iter_modules(module):
        if isinstance(part, Stack):
            yield part, nnx.split(part.blocks)[1]


def _row_numbers(batch: Any) -> jax.Array:
    """Index of each row of a batch."""
    return jnp.arange(jax.tree.leaves(batch)[0].shape[0])


def _only(name: str, spec: PartitionSpec) -> PartitionSpec:
    """A spec over one axis of the mesh alone."""
    return PartitionSpec(*(axis if axis == name else None for axis in spec))
