"""The loss of a student: that of its objective and the terms that compare it with its teacher."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fxformer.batch import Batch
from fxformer.distillation.terms import Shapes, SoftTargetTerm, Term
from fxformer.distillation.view import check_objective, view
from fxformer.errors import UserError
from fxformer.objective.base import Objective
from fxformer.ops.cross_entropy import Sums
from fxformer.task.objective import TaskObjective

Projections = Mapping[str, Mapping[str, Array]]


@dataclasses.dataclass(frozen=True)
class DistillationLoss:
    """hard · the objective's loss + Σ weight · term, each a mean over what it counts.

    hard: weight of the objective's own loss, of the true targets
    terms: (name, term) of all others, whose weights are not 0
    shuffled: whether the teacher reads the row before each row instead of it: a control, in which
        it has nothing to teach but frequencies
    """

    hard: float
    terms: tuple[tuple[str, Term], ...]
    shuffled: bool = False

    @property
    def inner(self) -> bool:
        """Whether a term reads all layers."""
        return any(term.inner for _, term in self.terms)

    def __call__(
        self,
        student: Objective,
        teacher: Objective | None,
        batch: Batch,
        *,
        key: Array | None,
        projections: Projections,
        ratios: Mapping[str, Array] | None,
    ) -> Sums:
        """{name: (sum, weight)}: "loss"; "hard_loss"; NAME_loss and what else a term tells.

        teacher: None: the batch carries its numbers
        key: PRNG key of the student's dropout; the teacher has none
        ratios: of `ratios`, for the whole batch that this batch is a part of; None: it is the whole
        """
        sums, parts = self._parts(student, teacher, batch, key, projections)
        total, weight = sums["loss"]
        ratios = _ratios(weight, parts) if ratios is None else ratios
        loss = self.hard * total
        told = {"hard_loss": (jax.lax.stop_gradient(total), weight)}
        for name, term in self.terms:
            part, _ = parts[name][""]
            loss += term.weight * ratios[name] * part
            told |= {
                f"{name}_{number or 'loss'}": (jax.lax.stop_gradient(value), count)
                for number, (value, count) in parts[name].items()
            }
        return sums | told | {"loss": (loss, weight)}

    def ratios(
        self, student: Objective, teacher: Objective | None, batch: Batch, projections: Projections
    ) -> dict[str, Array]:
        """For each term the weight of the objective's loss over that of the term, in a whole batch.

        They bring all means to one weight, however the batch is cut. They depend on the batch
        alone: in a compiled program no model runs for them.
        """
        sums, parts = self._parts(student, teacher, batch, None, projections)
        return _ratios(sums["loss"][1], parts)

    def _parts(self, student, teacher, batch, key, projections):
        own = view(student, batch, key, inner=self.inner)
        if teacher is None:
            return own.sums, {name: term.cached(own) for name, term in self.terms}
        read = jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), batch) if self.shuffled else batch
        other = view(teacher, read, None, inner=self.inner)
        parts = {name: term(own, other, projections.get(name, {})) for name, term in self.terms}
        return own.sums, parts

    def check_cached(self, student: Objective) -> None:
        """Raise UserError unless a teacher's top k probabilities are all that the terms read."""
        if isinstance(student, TaskObjective):
            raise UserError(
                "distillation.top_k: a task has few classes, of which nothing is to be cached; "
                "write distillation.top_k=null"
            )
        if self.shuffled or len(self.terms) != 1 or type(self.terms[0][1]) is not SoftTargetTerm:
            raise UserError(
                "distillation.top_k: only the probabilities of targets are cached; write "
                "distillation=soft, without shuffled rows or terms of hidden states, attention or "
                "logits, or distillation.top_k=null"
            )

    def check(self, student: Objective, teacher: Objective) -> dict[str, Shapes]:
        """Shapes of the matrices that the terms train, by term.

        Raises UserError where student and teacher cannot be compared.
        """
        check_objective(student)
        check_objective(teacher)
        if student.model.architecture != teacher.model.architecture:  # a task or a mixture
            raise UserError(
                f"distillation.teacher: its model is a {teacher.model.architecture} and the "
                f"student a {student.model.architecture}; choose two of one kind"
            )
        found = {}
        for name, term in self.terms:
            where = f"distillation.terms.{name}"
            term.check(student, teacher, where)
            found[name] = term.projections(student, teacher, where)
        return {name: shapes for name, shapes in found.items() if shapes}


def loss_of(hard: float, terms: Mapping[str, Any], *, shuffled: bool = False) -> DistillationLoss:
    """The loss of these terms; those of weight 0 are left out. UserError if none is left."""
    kept = tuple((name, term) for name, term in terms.items() if term.weight)
    if not kept:
        raise UserError(
            "distillation.terms: every weight is 0, so the teacher is not used; write "
            "distillation=none, or a weight such as distillation.terms.soft.weight=1"
        )
    return DistillationLoss(hard, kept, shuffled)


def _ratios(weight: Array, parts: Mapping[str, Mapping[str, tuple]]) -> dict[str, Array]:
    counts = {name: part[""][1] for name, part in parts.items()}
    return {name: jnp.where(c > 0, weight / jnp.maximum(c, 1e-9), 0) for name, c in counts.items()}
