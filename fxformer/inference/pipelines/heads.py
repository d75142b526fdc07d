"""Forward passes of pipelines: one task head, masked positions, hidden states."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.model import Model


@dataclasses.dataclass(frozen=True)
class HeadLogits:
    """Logits of one task head, float32. [B, C], or [B, T, C] of each token."""

    name: str

    def __call__(self, module: Any, batch: Batch) -> Array:
        return module.task_outputs(batch)[self.name].astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class PickedLogits:
    """Logits of the language-model head at the picked positions, float32. [B, M, V]."""

    def __call__(self, module: Any, batch: Batch) -> Array:
        hidden = jnp.take_along_axis(module(batch), batch.picked[..., None], axis=1)
        return module.logits(hidden).astype(jnp.float32)


def check_head(model: Model, name: str, task: str) -> None:
    """Raise UserError unless the model has the task head that a pipeline needs."""
    heads = list(model.module.task_heads)
    if name in heads:
        return
    has = f"it has {', '.join(heads)}" if heads else "it has none"
    raise UserError(
        f"{task} needs the task head {name!r}, which {model.name} has not ({has}); "
        f"tasks by head: classification: text-classification, zero-shot-classification; "
        "token_classification: token-classification; span: question-answering"
    )


def class_count(model: Model, name: str) -> int:
    """Number of classes of a head."""
    return model.module.task_heads[name].output.kernel.shape[-1]
