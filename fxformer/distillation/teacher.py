"""The frozen teacher beside a student, and the state of what is trained for their comparison."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from fxformer.batch import Batch
from fxformer.distillation.loss import DistillationLoss
from fxformer.distillation.terms import Shapes
from fxformer.objective.base import Objective
from fxformer.ops.cross_entropy import Sums


@dataclasses.dataclass(frozen=True, eq=False)  # eq=False: a cached property, and hashable
class Teacher:
    """A trained objective whose parameters are arguments of the training step, never trained.

    name: of the run or the published model
    objective: with abstract arrays
    graphdef: its structure without arrays
    abstract: its parameters as shapes and dtypes
    load: reads them
    precision: of its computation; its parameters are cast already
    loss: what the student learns of it
    projections: shapes of the matrices that are trained for that, by term
    top_k: how many of its probabilities are cached on disk; None: it computes in every step
    per_epoch: whether each epoch is cached by itself
    """

    name: str
    objective: Objective
    graphdef: nnx.GraphDef[Objective]
    abstract: dict
    load: Callable[[], dict]
    precision: Any
    loss: DistillationLoss
    projections: Mapping[str, Shapes]
    top_k: int | None = None
    per_epoch: bool = False

    @functools.cached_property
    def params(self) -> dict:
        """Its parameters."""
        with jax.ensure_compile_time_eval():  # arrays also where a caller is being traced
            return self.load()

    @property
    def in_step(self) -> "Teacher":
        """The teacher as a training step wants it: without parameters where they are cached."""
        if self.top_k is None:
            return self
        return dataclasses.replace(self, abstract={}, load=dict)

    def reader(self, params: dict) -> Objective | None:
        """Its objective with these parameters; None: the batch carries its numbers."""
        return None if self.top_k is not None else self.bound(params)

    def bound(self, params: dict) -> Objective:
        """Its objective with these parameters; for use inside jit."""
        return nnx.merge(self.graphdef, params)

    def sums(
        self,
        student: Objective,
        params: dict,
        batch: Batch,
        *,
        key: jax.Array | None,
        projections: Mapping[str, Any],
        ratios: Mapping[str, jax.Array] | None,
    ) -> Sums:
        """The student's loss; see DistillationLoss. params: of the teacher"""
        return self.loss(
            student,
            self.reader(params),
            batch,
            key=key,
            projections=projections,
            ratios=ratios,
        )

    def initial_projections(self, key: jax.Array) -> dict:
        """The matrices of `projections`, from U(-1, 1) / sqrt(rows); {} where there are none."""
        made: dict[str, dict] = {}
        for term, shapes in self.projections.items():
            for name, (rows, columns) in shapes.items():
                key, drawn = jax.random.split(key)
                bound = rows**-0.5
                made.setdefault(term, {})[name] = jax.random.uniform(
                    drawn, (rows, columns), jnp.float32, -bound, bound
                )
        return made
