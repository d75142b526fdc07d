"""Adapters for parameter-efficient fine-tuning: LoRA, or training of some parameters only.

A state's parameters are those of the objective and, below `adapter/`, what the adapter trains. The
step, the evaluation and whoever opens a run use `merged`: the parameters of the objective with
their change, so that no module knows of adapters and every part of a model can have one.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from omegaconf import DictConfig

from fxformer.config.build import build
from fxformer.distillation.teacher import Teacher
from fxformer.errors import UserError
from fxformer.rules import ADAPTER, DISTILLATION, is_stacked, named, named_map, nested, select
from fxformer.train.state import Make, init
from fxformer.types import Count, Positive, Rate

HEADS = "model/task_heads/"
KEY = 0x4C6F5241  # folded into the key of a step

Leaves = Mapping[str, Any]  # {path: array}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapter:
    """No adapter, and the base of adapters: the parameters of the objective are trained."""

    def added(self, params: dict, key: jax.Array) -> dict:
        """`params` of an objective with the parameters of the adapter, freshly initialised."""
        return params

    def merged_leaves(self, leaves: Leaves, key: jax.Array | None = None) -> Leaves:
        """The parameters of the objective, from those of a state, by path. key: for dropout"""
        return leaves

    def frozen(self, params: dict) -> Any:
        """Tree of booleans: which of a state's (abstract) parameters are not trained."""
        return jax.tree.map(lambda leaf: False, params)

    def init(self, make: Make, key: jax.Array) -> dict:
        """Parameters of `make(key)` with those of the adapter."""
        return self.added(init(make, key), jax.random.fold_in(key, 1))

    def shapes(self, params: dict) -> dict:
        """Shapes and dtypes of the parameters of a state. params: those of the objective"""
        return jax.eval_shape(self.added, params, jax.random.key(0))

    def merged(self, params: dict, key: jax.Array | None = None) -> dict:
        """The parameters of the objective, from those of a state. key: for dropout; None: none"""
        leaves = self.merged_leaves(named(params), key)
        return named_map(lambda path, _: leaves[path], without_adapter(params))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOnly(Adapter):
    """Training of some parameters of the objective, without further ones: biases, or the head.

    train: regexes of the parameters that are trained
    """

    train: Sequence[str]

    def frozen(self, params: dict) -> Any:
        chosen = select(self.train, params, what="adapter.train")
        return jax.tree.map(lambda trained: not trained, chosen)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoRA(Adapter):
    """LoRA: W + (alpha / rank) A B; W [in, out] is frozen, A [in, rank] and B [rank, out] trained.

    A is drawn from U(-1, 1) / sqrt(in), as in the authors' code, and B is 0, so that training
    begins with the pretrained model. In stacked parameters each layer has an A and a B of its own.
    Hu et al. 2021, sec. 4.1.

    rank: width of A and of B
    alpha: numerator of the scale of the change
    dropout: probability that an input feature of A is dropped. There is one mask for each matrix
        and step (Lin et al. 2024, sec. 3.2), not one for each token as in Hu et al.
    matrices: regexes of the parameters that get a change: kernels or embedding tables
    train: regexes of parameters that are trained besides; None: the task heads
    """

    rank: Count = 8
    alpha: Positive = 16.0
    dropout: Rate = 0.0
    matrices: Sequence[str] = ("attention/(q|v)/kernel$",)
    train: Sequence[str] | None = None

    def added(self, params: dict, key: jax.Array) -> dict:
        chosen = named(select(self.matrices, params, what="adapter.matrices"))
        arrays: dict[str, jax.Array] = {}
        for number, (path, leaf) in enumerate(named(params).items()):
            if chosen[path]:
                self._check(path, leaf)
                *layers, width, out = leaf.shape
                bound, drawn = width**-0.5, jax.random.fold_in(key, number)
                arrays[f"{path}/a"] = jax.random.uniform(
                    drawn, (*layers, width, self.rank), jnp.float32, -bound, bound
                )
                arrays[f"{path}/b"] = jnp.zeros((*layers, self.rank, out), jnp.float32)
        if not arrays:
            raise UserError("adapter.matrices is empty: write a regex, as in [attention/q/kernel]")
        return {**params, ADAPTER: nested(arrays)}

    def merged_leaves(self, leaves: Leaves, key: jax.Array | None = None) -> Leaves:
        base = {path: leaf for path, leaf in leaves.items() if not _of_adapter(path)}
        return base | {
            path: leaf + self._change(leaves, path, number, key)
            for number, (path, leaf) in enumerate(base.items())
            if f"{ADAPTER}/{path}/a" in leaves
        }

    def frozen(self, params: dict) -> Any:
        if self.train is None:
            return named_map(
                lambda path, _: not (_of_adapter(path) or path.startswith(HEADS)), params
            )
        besides = named(select(self.train, without_adapter(params), what="adapter.train"))
        return named_map(lambda path, _: not (_of_adapter(path) or besides[path]), params)

    def _change(self, leaves: Leaves, path: str, number: int, key: jax.Array | None) -> jax.Array:
        """(alpha / rank) A B in float32, [*layers, in, out]."""
        a, b = leaves[f"{ADAPTER}/{path}/a"], leaves[f"{ADAPTER}/{path}/b"]
        if key is not None and self.dropout:
            own = jax.random.fold_in(jax.random.fold_in(key, KEY), number)  # not one of the model's
            kept = jax.random.bernoulli(own, 1 - self.dropout, (*a.shape[:-1], 1))
            a = jnp.where(kept, a / (1 - self.dropout), 0)
        product = jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
        return (self.alpha / self.rank) * product

    def _check(self, path: str, leaf: Any) -> None:
        """Raise UserError for what is no matrix, or has too few rows or columns."""
        if leaf.ndim - is_stacked(path) != 2:
            raise UserError(
                f"adapter.matrices: {path} is no matrix; its shape is {list(leaf.shape)}; write a "
                "narrower regex, such as kernel$"
            )
        if self.rank >= min(leaf.shape[-2:]):
            raise UserError(
                f"adapter.rank={self.rank}: {path} is {leaf.shape[-2]} x {leaf.shape[-1]}; write a "
                f"rank below {min(leaf.shape[-2:])}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithProjections(Adapter):
    """An adapter, and the matrices that distillation trains beside the student."""

    adapter: Adapter
    teacher: Teacher

    def added(self, params: dict, key: jax.Array) -> dict:
        matrices = self.teacher.initial_projections(jax.random.fold_in(key, 1))
        return {**self.adapter.added(params, key), DISTILLATION: matrices}

    def merged_leaves(self, leaves: Leaves, key: jax.Array | None = None) -> Leaves:
        return self.adapter.merged_leaves(leaves, key)

    def frozen(self, params: dict) -> Any:
        of_adapter = {part: leaf for part, leaf in params.items() if part != DISTILLATION}
        free = jax.tree.map(lambda leaf: False, params[DISTILLATION])
        return {**self.adapter.frozen(of_adapter), DISTILLATION: free}


def adapter_of(cfg: DictConfig, teacher: Teacher | None = None) -> Adapter:
    """The adapter of a run's config; none where the config names none."""
    found = build(cfg.adapter) if cfg.get("adapter") else Adapter()
    if teacher is None or not teacher.projections:
        return found
    return WithProjections(adapter=found, teacher=teacher)


def without_adapter(params: dict) -> dict:
    """The parameters of a state that are the objective's own."""
    return {part: leaf for part, leaf in params.items() if part not in (ADAPTER, DISTILLATION)}


def _of_adapter(path: str) -> bool:
    return path.startswith(f"{ADAPTER}/")
