"""What a model computes of a batch, for the terms of distillation."""

import dataclasses
from typing import Any, cast

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fxformer.batch import Batch, Labels
from fxformer.errors import UserError
from fxformer.nn.head import Head
from fxformer.nn.intermediates import Intermediates
from fxformer.objective.base import Objective
from fxformer.ops.cross_entropy import Sums
from fxformer.ops.distillation import Projection
from fxformer.ops.dropout import split_key
from fxformer.task.objective import TaskObjective


@dataclasses.dataclass(frozen=True)
class StackView:
    """Hidden states and attention of a stack. segments: of what it reads, 0 for padding"""

    name: str
    intermediates: Intermediates
    segments: Int[Array, "B T"]


@dataclasses.dataclass(frozen=True)
class View:
    """An objective, a batch, and what the model computes of it.

    hidden: of the last layer of what the head reads
    stacks: of all layers; empty unless a term asks for them
    sums: of the objective's own loss
    outputs: of a task's head; None: of a language model
    """

    objective: Objective
    batch: Batch
    hidden: Float[Array, "B T D"]
    stacks: tuple[StackView, ...]
    sums: Sums
    outputs: Any = None

    def projection(self) -> tuple[Projection, Float[Array, "N"]]:
        """The head's projection of all scored positions, and their weights."""
        hidden, batch = self.hidden, self.batch
        if batch.picked is not None:
            hidden = jnp.take_along_axis(hidden, batch.picked[..., None], axis=1)
        features, kernel, bias = self.objective.model.projection()
        flat = features(hidden.reshape(-1, hidden.shape[-1]))
        size = self.objective.vocabulary.size
        return Projection(flat, kernel, bias).rows(size), batch.weights.reshape(-1)

    def task_logits(self) -> tuple[Array, Array]:
        """(logits [*B, C] of a task's classes, weight [*B] of each row)."""
        task = cast(TaskObjective, self.objective).task
        batch = self.batch
        return task.logits_of(self.outputs, batch.segments, cast(Labels, batch.labels))


def view(objective: Objective, batch: Batch, key: Array | None, *, inner: bool) -> View:
    """What an objective's model computes of a batch.

    key: PRNG key of dropout; None: no dropout
    inner: whether hidden states and attention of all layers are wanted
    """
    is_task = isinstance(objective, TaskObjective)
    first, second = split_key(key, 2) if is_task else (key, None)
    hidden, stacks = _computed(objective.model, batch, first, inner)
    if is_task:
        sums, outputs = cast(TaskObjective, objective).answered(hidden, batch, second)
        return View(objective, batch, hidden, stacks, sums, outputs)
    return View(objective, batch, hidden, stacks, objective.score(hidden, batch))


def _computed(model: Any, batch: Batch, key: Array | None, inner: bool):
    """(hidden states of the last layer, views of the stacks)."""
    if not inner:
        return model(batch, key=key), ()
    found = model.intermediates(batch, key=key)
    if isinstance(found, Intermediates):
        stacks = (StackView("stack", found, batch.segments),)
    else:
        encoder, decoder = found
        stacks = (
            StackView("encoder", encoder, batch.source_segments),
            StackView("decoder", decoder, batch.segments),
        )
    return stacks[-1].intermediates.hidden_states[-1], stacks


def check_objective(objective: Objective) -> None:
    """Raise UserError for an objective whose loss is not that of one head on one model."""
    kind = type(objective)
    if kind.__call__ not in (Objective.__call__, TaskObjective.__call__):
        raise UserError(
            f"distillation: {kind.__name__} computes its loss in its own way, which no teacher's "
            "distribution can be added to; write objective=mlm, clm, denoise or seq2seq, or a task="
        )
    head = objective.model.head
    if not isinstance(objective, TaskObjective) and (
        not isinstance(head, Head) or type(head).score is not Head.score
    ):
        raise UserError(
            f"distillation: {type(head).__name__} has no one matrix of logits over the vocabulary; "
            "write model/head=tied or model/head=untied"
        )


def stack_shapes(model: Any) -> dict[str, tuple[int, int, int]]:
    """{name of a stack: (layers, width, heads)} of a model, as `view` names them."""
    if model.architecture == "seq2seq":
        parts = {"encoder": model.encoder, "decoder": model.decoder}
    else:
        parts = {"stack": model.transformer}
    return {name: (one.layers, one.dim, one.heads) for name, one in parts.items()}
