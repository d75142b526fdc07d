"""Terms of a distillation loss: soft targets, logits, hidden states, attention."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fxformer.distillation.layer_map import LayerMap, layer_pairs
from fxformer.distillation.view import StackView, View, stack_shapes
from fxformer.errors import UserError
from fxformer.objective.base import Objective
from fxformer.ops.distillation import (
    Differences,
    differences,
    projected_differences,
    top_k_differences,
)
from fxformer.task.objective import TaskObjective
from fxformer.types import NonNegative, Positive

Item = tuple[Array, Array]  # (sum, weight), float32 scalars
Shapes = dict[str, tuple[int, int]]
TINY = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Term(ABC):
    """A term of the loss, a mean over the tokens that it counts.

    weight: factor of the mean
    inner: whether it reads hidden states or attention of all layers
    """

    inner: ClassVar[bool] = False
    weight: NonNegative = 1.0

    @abstractmethod
    def __call__(
        self, student: View, teacher: View, projections: Mapping[str, Array]
    ) -> dict[str, Item]:
        """{"": the term, name: a further number}: (sum, weight) each.

        projections: the arrays of `projections`
        """

    def cached(self, student: View) -> dict[str, Item]:
        """The same from the teacher's numbers that the batch carries. UserError unless of soft
        targets."""
        raise UserError(f"distillation.top_k: {type(self).__name__} reads more than is cached")

    def check(self, student: Objective, teacher: Objective, where: str) -> None:  # noqa: B027
        """Raise UserError where student and teacher cannot be compared. where: config key"""

    def projections(self, student: Objective, teacher: Objective, where: str) -> Shapes:
        """Shapes of the matrices it trains beside the student."""
        return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftTargetTerm(Term):
    """T² · -Σ p_teacher log p_student, both softmax(logits / T), over the objective's targets.

    Hinton et al. 2015, sec. 2: the factor T² keeps the gradient's size at every temperature. The
    cross-entropy differs from T² · KL(p_teacher ‖ p_student) by the teacher's entropy, which has no
    gradient; `divergence`, that KL without the factor, is logged beside it.

    temperature: T
    """

    weight: NonNegative = 1.0
    temperature: Positive = 1.0

    def __call__(self, student, teacher, projections):
        found, weight = _logit_differences(student, teacher, self.temperature)
        scale = self.temperature**2
        return {"": (scale * found.cross_entropy, weight), "divergence": (found.divergence, weight)}

    def cached(self, student):
        projection, weights = student.projection()
        ids, log_probs, rest = (
            x.reshape(len(weights), *x.shape[2:]) for x in jax.tree.leaves(student.batch.teacher)
        )
        found = top_k_differences(
            projection,
            ids,
            log_probs,
            rest,
            weights,
            temperature=self.temperature,
            chunk=student.objective.loss.chunk,
        )
        total, scale = weights.sum(), self.temperature**2
        return {"": (scale * found.cross_entropy, total), "divergence": (found.divergence, total)}

    def check(self, student, teacher, where):
        if isinstance(student, TaskObjective) and not student.task.probabilistic:
            raise UserError(
                f"{where}: {type(student.task).__name__} predicts numbers, not probabilities; "
                "write distillation=values, which compares the numbers"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitTerm(Term):
    """Mean over the classes of the squared difference of logits, over the objective's targets.

    Ba and Caruana 2014; Kim et al. 2021 compare it with soft targets.
    """

    def __call__(self, student, teacher, projections):
        found, weight = _logit_differences(student, teacher, 1.0)
        return {"": (found.squared, weight)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class HiddenStateTerm(Term):
    """Distance of hidden states, over all tokens that are not padding, mean over pairs of layers.

    distance: cosine, 1 - cos(student, teacher) (Sanh et al. 2019, sec. 2); or mse, the mean over
        the width of squared differences (Jiao et al. 2020, eq. 8)
    layers: see `layer_pairs`
    Where the widths differ, the student's states are multiplied by a matrix [D_student, D_teacher]
    for each pair, which is trained and then discarded (Romero et al. 2015, Jiao et al. 2020).
    """

    inner: ClassVar[bool] = True
    distance: Literal["cosine", "mse"] = "cosine"
    layers: LayerMap = "last"

    def __call__(self, student, teacher, projections):
        total = weight = jnp.float32(0)
        for name, own, other, pairs in _stacks(self.layers, student, teacher):
            counts = (own.segments > 0).astype(jnp.float32)
            for i, j in pairs:
                x = own.intermediates.hidden_states[i].astype(jnp.float32)
                y = other.intermediates.hidden_states[j].astype(jnp.float32)
                if x.shape[-1] != y.shape[-1]:
                    x = x @ projections[_name(name, i, j)].astype(jnp.float32)
                x, y = (jnp.where(counts[..., None] > 0, one, 1) for one in (x, y))
                total += jnp.sum(counts * self._distances(x, y)) / len(pairs)
            weight += counts.sum()
        return {"": (total, weight)}

    def _distances(self, x: Float[Array, "*B D"], y: Float[Array, "*B D"]) -> Float[Array, "*B"]:
        if self.distance == "mse":
            return jnp.mean(jnp.square(x - y), axis=-1)
        squares = jnp.sum(x * x, -1) * jnp.sum(y * y, -1)
        return 1 - jnp.sum(x * y, -1) / jnp.sqrt(jnp.maximum(squares, TINY))

    def check(self, student, teacher, where):
        for _ in _pairs(self.layers, student, teacher, where):
            pass

    def projections(self, student, teacher, where):
        return {
            _name(name, i, j): (own[1], other[1])
            for name, own, other, pairs in _pairs(self.layers, student, teacher, where)
            for i, j in pairs
            if own[1] != other[1]
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionTerm(Term):
    """KL(attention of the teacher ‖ of the student) of self-attention, over all tokens that are not
    padding, mean over heads and pairs of layers. Wang et al. 2020 (MiniLM), eq. 6.

    layers: see `layer_pairs`; layers have attention from 1 on
    """

    inner: ClassVar[bool] = True
    layers: LayerMap = "last"

    def __call__(self, student, teacher, projections):
        total = weight = jnp.float32(0)
        for _, own, other, pairs in _stacks(self.layers, student, teacher):
            counts = (own.segments > 0).astype(jnp.float32)
            for i, j in pairs:
                q = own.intermediates.self_attention[i - 1]
                p = other.intermediates.self_attention[j - 1]
                each = p * (jnp.log(jnp.maximum(p, TINY)) - jnp.log(jnp.maximum(q, TINY)))
                rows = jnp.where(p > 0, each, 0).sum(-1).mean(axis=1)  # [B, T]
                total += jnp.sum(counts * rows) / len(pairs)
            weight += counts.sum()
        return {"": (total, weight)}

    def check(self, student, teacher, where):
        for name, own, other, pairs in _pairs(self.layers, student, teacher, where):
            if own[2] != other[2]:
                raise UserError(
                    f"{where}: the {name} of the student has {own[2]} heads and that of the "
                    f"teacher {other[2]}, so their attention cannot be compared; write model.heads="
                    f"{other[2]}, or {where}.weight=0"
                )
            if any(0 in pair for pair in pairs):
                raise UserError(f"{where}.layers: layer 0 is the input, which has no attention")


def _logit_differences(student: View, teacher: View, temperature: float):
    """(Differences, weight) of the logits of all targets."""
    if isinstance(student.objective, TaskObjective):
        (own, counts), (other, _) = student.task_logits(), teacher.task_logits()
        return differences(own, other, counts, temperature), counts.sum()
    (own, weights), (other, _) = student.projection(), teacher.projection()
    chunk = student.objective.loss.chunk
    found: Differences = projected_differences(
        own, other, weights, temperature=temperature, chunk=chunk
    )
    return found, weights.sum()


def _stacks(
    rule: LayerMap, student: View, teacher: View
) -> Iterator[tuple[str, StackView, StackView, list[tuple[int, int]]]]:
    """(name, that of the student, of the teacher, pairs of layers) of each stack."""
    shapes = _pairs(rule, student.objective, teacher.objective, "layers")
    for own, other, (name, _, _, pairs) in zip(student.stacks, teacher.stacks, shapes, strict=True):
        yield name, own, other, pairs


def _pairs(rule: LayerMap, student: Objective, teacher: Objective, where: str):
    """(name, (layers, width, heads) of the student, of the teacher, pairs of layers) by stack."""
    own, other = stack_shapes(student.model), stack_shapes(teacher.model)
    for name, shape in own.items():
        yield name, shape, other[name], layer_pairs(rule, shape[0], other[name][0], where)


def _name(stack: str, own: int, other: int) -> str:
    return f"{stack}_{own}_{other}"
