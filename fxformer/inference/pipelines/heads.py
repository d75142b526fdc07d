"""Forward passes of pipelines: one classification head, masked positions, hidden states."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from fxformer.batch import Batch
from fxformer.errors import UserError
from fxformer.inference.model import Model


@dataclasses.dataclass(frozen=True)
class HeadLogits:
    """Logits of one classification head, float32. [B, C], or [B, T, C] of each token."""

    name: str

    def __call__(self, module: Any, batch: Batch) -> Array:
        return module.classify(batch)[self.name].astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class PickedLogits:
    """Logits of the language-model head at the picked positions, float32. [B, M, V]."""

    def __call__(self, module: Any, batch: Batch) -> Array:
        hidden = jnp.take_along_axis(module(batch), batch.picked[..., None], axis=1)
        return module.logits(hidden).astype(jnp.float32)


def check_head(model: Model, name: str, task: str) -> None:
    """Raise UserError unless the model has the classification head that a task needs."""
    heads = list(model.module.classifiers)
    if name in heads:
        return
    has = f"it has {', '.join(heads)}" if heads else "it has none"
    raise UserError(
        f"{task} needs the classification head {name!r}, which {model.name} has not ({has}); "
        f"tasks by head: classes: text-classification, zero-shot-classification; tokens: "
        "token-classification; span: question-answering"
    )


def class_count(model: Model, name: str) -> int:
    """Number of classes of a head."""
    return model.module.classifiers[name].output.kernel.shape[-1]
