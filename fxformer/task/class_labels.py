"""Class names and class weights of tasks with classes."""

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fxformer.data.labelled.labels import LabelSet, count
from fxformer.data.labelled.rows import Row
from fxformer.errors import UserError
from fxformer.metrics.diagnosis import diagnosis


def freeze(task: Any, *names: str) -> None:
    """Turn lists, and values of dicts, of a frozen dataclass into tuples: it can be hashed."""
    for name in names:
        value = getattr(task, name)
        value = list(value.values()) if isinstance(value, dict) else value
        if isinstance(value, list):
            object.__setattr__(task, name, tuple(value))


def label_names(task: Any) -> tuple[str, ...]:
    """The class names of a task, once they are known."""
    assert task.labels is not None  # filled in from the training rows before anything is built
    return tuple(task.labels)


def label_set(task: Any) -> LabelSet:
    """The LabelSet of a task."""
    return _label_set(label_names(task))


@functools.lru_cache(8)
def _label_set(names: tuple[str, ...]) -> LabelSet:
    return LabelSet(names)


def check_class_weights(labels: Sequence[str] | None, weights: Any) -> None:
    """Raise UserError unless there is one weight for each label."""
    if isinstance(weights, Sequence) and not isinstance(weights, str) and labels is not None:
        if len(weights) != len(labels):
            raise UserError(
                f"task.class_weights has {len(weights)} values and there are {len(labels)} labels: "
                "give one for each, in the order of task.labels, or balanced"
            )


def class_diagnosis(logits: Any, classes: Any, names: Sequence[str] | None) -> list[str]:
    """What looks wrong with logits [N, C] for classes [N]: collapse, classes in another order.

    names: of the classes; None: they mean something else in each example, such as choices
    """
    logits = np.asarray(logits)
    if np.isnan(logits).any():
        return []
    known = [f"number {n}" for n in range(logits.shape[1])] if names is None else names
    return diagnosis(logits.argmax(1), np.asarray(classes), known, ordered=names is not None)


def weight_array(weights: Any) -> Float[Array, "C"] | None:
    """Class weights as an array; None: all 1."""
    return None if weights is None else jnp.array(weights, jnp.float32)


def balanced_weights(rows: Sequence[Row], names: Sequence[str], role: str) -> list[float]:
    """rows / (classes * rows of the class), for each class; 1 for an empty one."""
    counts = count(rows, role)[0]
    total = sum(counts.values())
    return [total / (len(names) * counts[name]) if counts.get(name) else 1.0 for name in names]
