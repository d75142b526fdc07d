"""Multiple choice: which of several continuations or answers belongs to a text."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fxformer.batch import Labels
from fxformer.data.labelled.rows import Row
from fxformer.errors import UserError
from fxformer.ops.cross_entropy import Sums
from fxformer.task.base import Encoded, Task, TextEncoder, slot_labels, stacked
from fxformer.task.class_labels import class_diagnosis, freeze
from fxformer.task.features import Feature, Placed
from fxformer.task.losses import softmax_loss
from fxformer.task.text_template import fit_pair

MISSING = -1e9  # logit of a choice that a row has not


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultipleChoice(Task):
    """One of K choices: softmax over the K outputs of the `multiple_choice` head.

    Each choice is read with the text before it, apart from the others (Devlin et al. 2019, sec.
    4.4, SWAG); where a row has a `pair`, the choice continues it. Rows may have different numbers
    of choices. The label is the number of the right choice, from 0, or the choice itself.
    """

    head: ClassVar[str] = "multiple_choice"
    roles: ClassVar[tuple[str, ...]] = ("text", "choices", "label")
    optional: ClassVar[tuple[str, ...]] = ("pair",)
    architectures: ClassVar[frozenset[str]] = frozenset({"encoder", "decoder"})

    metrics: Mapping[str, Any] | Sequence[Any] = ()

    def __post_init__(self) -> None:
        freeze(self, "metrics")

    @property
    def outputs(self) -> int:
        return 1

    def encode(self, row: Row, number: int, encoder: TextEncoder) -> Encoded:
        choices = row.value("choices")
        label = choice_of(row, choices)
        text = encoder.tokenizer.encode(row.value("text"))
        pair = row.get("pair")
        seconds = [
            encoder.tokenizer.encode(choice if pair is None else f"{pair} {choice}")
            for choice in choices
        ]
        total = sum(len(text) + len(second) for second in seconds)
        if not len(text) or not all(map(len, seconds)):
            return Encoded([], total, skipped="a text without tokens")
        parts, kept = [], 0
        for second in seconds:
            keep = fit_pair(len(text), len(second), encoder.template.room(encoder.length, True))
            parts.append(encoder.template.join(text[: keep[0]], second[: keep[1]]))
            kept += sum(keep)
        tokens, types = (np.concatenate(some) for some in zip(*parts, strict=True))
        lengths = tuple(len(one[0]) for one in parts)
        return Encoded([Feature(tokens, types, lengths, number, label)], total, cut=total - kept)

    def label_arrays(self, placed: Placed) -> Labels:
        made = slot_labels(placed, np.int32)
        at = np.full((*made.classes.shape, placed.parts), -1, np.int32)
        places = zip(placed.row, placed.slot, placed.begin, placed.features, strict=True)
        for row, slot, begin, one in places:
            starts = begin + np.cumsum([0, *one.parts[:-1]])
            at[row, slot, : len(starts)] = starts
        return made.replace(at=at)

    def picked(self, labels: Labels) -> np.ndarray:
        """Position of the first choice of each example."""
        return np.maximum(labels.at[..., 0], 0)

    def loss(
        self, head: Any, hidden: Array, segments: Array, labels: Labels, key: Array | None
    ) -> tuple[Sums, Array]:
        rows, slots, choices = labels.at.shape
        at = labels.at.reshape(rows, slots * choices)
        own = jnp.take_along_axis(segments, jnp.maximum(at, 0), axis=1)
        there = (at >= 0) & (own > 0)
        pieces = (segments[:, None, :] == own[:, :, None]) & there[:, :, None]
        values = head.of_pieces(hidden, pieces, key=key)[..., 0].astype(jnp.float32)
        logits = jnp.where(there, values, MISSING).reshape(rows, slots, choices)
        return softmax_loss(logits, labels.classes, labels.weights), logits

    def predictions(
        self, outputs: Sequence[np.ndarray], features: Sequence[Feature], rows: Sequence[Row]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(logits of the choices [N, K] float32, right choices [N] int)."""
        return stacked(outputs, features)

    def diagnosis(self, predictions: Any, references: Any) -> list[str]:
        """Whether one place among the choices is predicted for all rows."""
        return class_diagnosis(predictions, references, None)

    def shown(self, answer: Any, row: Row) -> str:
        return row.value("choices")[int(np.argmax(answer) if np.ndim(answer) else answer)]


def choice_of(row: Row, choices: Sequence[str]) -> int:
    """Number of the right choice. Raises UserError where the label is none of them."""
    label = row.value("label")
    if isinstance(label, str) and choices.count(label) == 1:
        return choices.index(label)
    text = str(label)
    if not isinstance(label, bool) and text in map(str, range(len(choices))):
        return int(text)
    raise UserError(
        f"{row.where}: the label {label!r} is neither one of the {len(choices)} choices nor a "
        f"number from 0 to {len(choices) - 1}"
    )
