"""Classification of a text or a pair of texts: one class of many, several of many, a number."""

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fxformer.batch import Labels
from fxformer.data.labelled.labels import labels_of
from fxformer.data.labelled.rows import Row
from fxformer.errors import UserError
from fxformer.ops.cross_entropy import Sums
from fxformer.task.base import Encoded, Task, TextEncoder, slot_labels, stacked
from fxformer.task.class_labels import class_diagnosis, freeze, label_names, label_set
from fxformer.task.class_tasks import ClassTask, OneClassTask
from fxformer.task.features import Feature, Placed
from fxformer.task.losses import sigmoid_loss, squared_loss
from fxformer.task.text_template import fit_pair

LARGEST = float(np.finfo(np.float32).max)  # label of a regression


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextTask(Task):
    """A label for a whole text or pair of texts, from the `classification` head.

    A text that is too long is cut at its end, of a pair the longer one first.

    frozen: whether the body is computed once and the head alone is trained; see task/frozen.py
    """

    head: ClassVar[str] = "classification"
    roles: ClassVar[tuple[str, ...]] = ("text", "label")
    optional: ClassVar[tuple[str, ...]] = ("pair",)

    metrics: Mapping[str, Any] | Sequence[Any] = ()
    frozen: bool = False

    def __post_init__(self) -> None:
        freeze(self, "metrics")

    @abstractmethod
    def label_of(self, row: Row) -> Any:
        """The label of a row. Raises UserError where it is none of this task's."""

    def encode(self, row: Row, number: int, encoder: TextEncoder) -> Encoded:
        label = self.label_of(row)
        first = encoder.tokenizer.encode(row.values["text"])
        pair = row.values.get("pair")
        second = None if pair is None else encoder.tokenizer.encode(pair)
        total = len(first) + (0 if second is None else len(second))
        if not len(first) or (second is not None and not len(second)):
            return Encoded([], total, skipped="a text without tokens")
        room = encoder.template.room(encoder.length, second is not None)
        if second is None:
            first = first[:room]
        else:
            keep = fit_pair(len(first), len(second), room)
            first, second = first[: keep[0]], second[: keep[1]]
        kept = len(first) + (0 if second is None else len(second))
        tokens, types = encoder.template.join(first, second)
        return Encoded(
            [Feature(tokens, types, (len(tokens),), number, label)], total, cut=total - kept
        )

    def logits(
        self, head: Any, hidden: Array, segments: Array, labels: Labels, key: Array | None
    ) -> Array:
        """The head's outputs for each slot of each row, float32. [B, N, C]"""
        at = labels.at
        own = jnp.take_along_axis(segments, at, axis=1)
        pieces = (segments[:, None, :] == own[:, :, None]) & (own[:, :, None] > 0)
        return head.of_pieces(hidden, pieces, key=key).astype(jnp.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification(OneClassTask, TextTask):
    """One class of many for a text or a pair of texts. For the fields see OneClassTask."""

    problem_type: ClassVar[str | None] = "single_label_classification"
    label_role: ClassVar[str | None] = "label"

    def label_of(self, row: Row) -> int:
        return label_set(self).id_of(row.values["label"], row.where)

    def label_arrays(self, placed: Placed) -> Labels:
        return slot_labels(placed, np.int32)

    def loss(
        self, head: Any, hidden: Array, segments: Array, labels: Labels, key: Array | None
    ) -> tuple[Sums, Array]:
        logits = self.logits(head, hidden, segments, labels, key)
        return self.class_loss(logits, labels), logits

    def predictions(
        self, outputs: Sequence[np.ndarray], features: Sequence[Feature], rows: Sequence[Row]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(logits [N, C] float32, classes [N] int)."""
        return stacked(outputs, features)

    def diagnosis(self, predictions: Any, references: Any) -> list[str]:
        return class_diagnosis(predictions, references, label_names(self))

    def shown(self, answer: Any, row: Row) -> str:
        return label_names(self)[int(np.argmax(answer) if np.ndim(answer) else answer)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiLabel(ClassTask, TextTask):
    """Several classes of many, each on its own: mean binary cross-entropy over the classes."""

    problem_type: ClassVar[str | None] = "multi_label_classification"
    label_role: ClassVar[str | None] = "label"

    def label_of(self, row: Row) -> np.ndarray:
        known = label_set(self)
        found = np.zeros(len(known.names), np.float32)
        found[[known.id_of(one, row.where) for one in labels_of(row)]] = 1
        return found

    def label_arrays(self, placed: Placed) -> Labels:
        return slot_labels(placed, np.float32, (self.outputs,))

    def loss(
        self, head: Any, hidden: Array, segments: Array, labels: Labels, key: Array | None
    ) -> tuple[Sums, Array]:
        logits = self.logits(head, hidden, segments, labels, key)
        return sigmoid_loss(logits, labels.classes, labels.weights), logits

    def logits_of(self, outputs: Array, segments: Array, labels: Labels) -> tuple[Array, Array]:
        """A softmax over (not this class, this class) for each class."""
        weights = jnp.broadcast_to(labels.weights[..., None], outputs.shape) / outputs.shape[-1]
        return jnp.stack([jnp.zeros_like(outputs), outputs], axis=-1), weights

    def predictions(
        self, outputs: Sequence[np.ndarray], features: Sequence[Feature], rows: Sequence[Row]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(logits [N, C] float32, multi-hot classes [N, C] int)."""
        logits, classes = stacked(outputs, features)
        return logits, classes.astype(np.int64)

    def shown(self, answer: Any, row: Row) -> str:
        chosen = np.flatnonzero(np.asarray(answer) > 0)
        return ", ".join(label_names(self)[i] for i in chosen) or "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regression(TextTask):
    """A number for each text or pair of texts: mean squared error."""

    problem_type: ClassVar[str | None] = "regression"
    probabilistic: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        return 1

    def label_of(self, row: Row) -> float:
        value = row.values["label"]
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if isinstance(value, bool) or not abs(number) <= LARGEST:
            raise UserError(
                f"{row.where}: the label {value!r} is not a finite number of float32; for "
                "class names write task=classification"
            )
        return number

    def label_arrays(self, placed: Placed) -> Labels:
        return slot_labels(placed, np.float32)

    def loss(
        self, head: Any, hidden: Array, segments: Array, labels: Labels, key: Array | None
    ) -> tuple[Sums, Array]:
        values = self.logits(head, hidden, segments, labels, key)[..., 0]
        return squared_loss(values, labels.classes, labels.weights), values

    def logits_of(self, outputs: Array, segments: Array, labels: Labels) -> tuple[Array, Array]:
        """The values, as logits of one class."""
        return outputs[..., None], labels.weights

    def predictions(
        self, outputs: Sequence[np.ndarray], features: Sequence[Feature], rows: Sequence[Row]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(values [N] float32, numbers [N] float)."""
        return stacked(outputs, features)
