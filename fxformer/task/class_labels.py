"""Class names and class weights of tasks with classes."""

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from fxformer.data.labelled.labels import LabelSet
from fxformer.errors import UserError


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


def weight_array(weights: Any) -> Float[Array, "C"] | None:
    """Class weights as an array; None: all 1."""
    return None if weights is None else jnp.array(weights, jnp.float32)
