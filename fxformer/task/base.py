"""Base class of labelled tasks: roles of a row, encoding, labels, loss, predictions and metrics."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, cast

import numpy as np
from jaxtyping import Array, Float, Int

from fxformer.batch import Labels
from fxformer.data.labelled.rows import Row
from fxformer.data.packing import Packed
from fxformer.data.tokenizer import Tokenizer
from fxformer.metrics.base import Metric
from fxformer.metrics.results import MetricResults
from fxformer.ops.cross_entropy import Sums
from fxformer.task.features import Feature, Placed, pack_features, row_length
from fxformer.task.text_template import TextTemplate


@dataclasses.dataclass(frozen=True)
class TextEncoder:
    """Texts to token ids that fit a model's input.

    tokenizer, template: of what the model reads, and the special tokens around its texts
    length: tokens of an input, with the special ones
    target: tokenizer of what the model writes
    architecture: of the model; None: not known
    """

    tokenizer: Tokenizer
    template: TextTemplate
    length: int
    target: Tokenizer
    architecture: str | None = None


@dataclasses.dataclass(frozen=True)
class Encoded:
    """What a row became.

    features: inputs of the model; none where the row cannot be used
    tokens: of the text, all of it; cut: those that are in no feature
    skipped: why there is no feature; None: there are some
    """

    features: Sequence[Any]
    tokens: int
    cut: int = 0
    skipped: str | None = None


class RowTask(ABC):
    """What a corpus and an evaluation need of a labelled task: roles, encoding, rows, metrics.

    Subclasses are frozen dataclasses: static parts of a compiled program.

    roles, optional: fields that a row has, and those that it may have
    architectures: models that can learn it
    label_role: field with the class names, of tasks that have classes; None: no classes
    head: name of the head that answers (model.task_head); None: the language-model head
    problem_type: that of config.json, as transformers calls it; None: none
    objectives: {class of an objective that learns it: its choice of conf/objective}
    """

    roles: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()
    architectures: ClassVar[frozenset[str]] = frozenset({"encoder", "decoder", "seq2seq"})
    label_role: ClassVar[str | None] = None
    head: ClassVar[str | None] = None
    problem_type: ClassVar[str | None] = None
    objectives: ClassVar[Mapping[str, str]] = MappingProxyType({"TaskObjective": "task"})
    metrics: Mapping[str, Metric] | Sequence[Metric]

    def needed(self, row: Row) -> tuple[str, ...]:
        """Roles that a row must have."""
        return self.roles

    @property
    def added_texts(self) -> tuple[str, ...]:
        """Texts that the model reads beside those of a row, which its tokenizer must know."""
        return ()

    def check_rows(self, rows: Mapping[str, Sequence[Row]]) -> None:  # noqa: B027 - optional
        """Raise UserError where the rows by split do not fit the options of the task."""

    def read(self, row: Row) -> Row:
        """A row with all roles, where some follow from others."""
        return row

    @abstractmethod
    def encode(self, row: Row, number: int, encoder: TextEncoder) -> Encoded:
        """The features of a row. Raises UserError, with the row's place, for a wrong label.

        number: of the row in its split
        """

    @abstractmethod
    def pack(
        self, features: Mapping[str, Sequence[Any]], encoder: TextEncoder, *, shared: bool
    ) -> dict[str, Packed]:
        """Rows of one length for all splits: with one feature each, or, if `shared`, with several.

        features: by split
        """

    def facts(self, split: str, features: Sequence[Any]) -> dict[str, Any]:
        """What is recorded of the features of a split besides what is known of all tasks."""
        return {}

    @property
    def judges(self) -> tuple[Metric, ...]:
        """The metrics, for this task's classes."""
        labels = getattr(self, "labels", None)
        metrics = cast(Sequence[Metric], self.metrics)  # a mapping only until it is frozen
        return tuple(one if labels is None else one.for_labels(labels) for one in metrics)

    @property
    def directions(self) -> dict[str, bool]:
        """{name: whether higher is better} of all metrics."""
        return {name: up for one in self.judges for name, up in one.directions.items()}

    def judged(self, predictions: Any, references: Any) -> MetricResults:
        """The results of all metrics, and what the task itself has to say of the predictions."""
        return MetricResults(
            self.judges, predictions, references, lambda: self.diagnosis(predictions, references)
        )

    def diagnosis(self, predictions: Any, references: Any) -> list[str]:
        """What looks wrong with predictions, such as that all are of one class; a sentence each."""
        return []


class Task(RowTask):
    """A labelled task that a head of its own answers.

    head: name of that head
    per_token: whether each token has a label, instead of each input
    probabilistic: whether `logits_of` gives logits of probabilities, instead of values
    """

    head: ClassVar[str]
    per_token: ClassVar[bool] = False
    probabilistic: ClassVar[bool] = True

    def pack(
        self, features: Mapping[str, Sequence[Feature]], encoder: TextEncoder, *, shared: bool
    ) -> dict[str, Packed]:
        length, pad = row_length(features, encoder.length, shared), encoder.target.ids.pad
        return {
            split: pack_features(some, length, self, pad, shared=shared)
            for split, some in features.items()
        }

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers that the head gives for each label."""

    @abstractmethod
    def label_arrays(self, placed: Placed) -> Labels:
        """The labels of features in rows, as arrays."""

    @abstractmethod
    def loss(
        self,
        head: Any,
        hidden: Float[Array, "B T D"],
        segments: Int[Array, "B T"],
        labels: Labels,
        key: Array | None,
    ) -> tuple[Sums, Array]:
        """({"loss", …}: (sum, weight) over labels, outputs of the head in float32, [B, …])."""

    def logits_of(
        self, outputs: Float[Array, "B ..."], segments: Int[Array, "B T"], labels: Labels
    ) -> tuple[Float[Array, "*B C"], Float[Array, "*B"]]:
        """(logits of each softmax that the outputs of the head are, its weight), for distillation.

        The weights of a label sum to that of the label.
        """
        return outputs, labels.weights

    @abstractmethod
    def predictions(
        self, outputs: Sequence[np.ndarray], features: Sequence[Feature], rows: Sequence[Row]
    ) -> tuple[Any, Any]:
        """(predictions, references) of all rows, as the metrics read them.

        outputs: those of each feature
        """

    def picked(self, labels: Labels) -> np.ndarray | None:
        """A position in the input of each label [B, N]; None: each token has a label."""
        return None if self.per_token else np.asarray(labels.at)

    def results(
        self,
        outputs: Mapping[int, np.ndarray],
        features: Sequence[Feature],
        rows: Sequence[Row],
    ) -> MetricResults:
        """The results of all metrics, of the outputs of all features by their number."""
        ordered = [outputs[number] for number in range(len(features))]
        return self.judged(*self.predictions(ordered, features, rows))

    def samples(
        self,
        outputs: Mapping[int, np.ndarray],
        features: Sequence[Feature],
        rows: Sequence[Row],
        count: int,
    ) -> list[tuple[str, str, str]]:
        """(input, answer, label) of the first `count` rows, as texts."""
        numbers = [n for n, one in enumerate(features) if one.example < count and n in outputs]
        if not numbers:
            return []
        some = [features[n] for n in numbers]
        used = sorted({one.example for one in some})
        place = {example: n for n, example in enumerate(used)}
        some = [dataclasses.replace(one, example=place[one.example]) for one in some]
        given, wanted = self.predictions(
            [outputs[n] for n in numbers], some, [rows[n] for n in used]
        )
        return [
            (
                self.shown_input(rows[n]),
                self.shown(given[i], rows[n]),
                self.shown(wanted[i], rows[n]),
            )
            for i, n in enumerate(used)
        ]

    def shown_input(self, row: Row) -> str:
        """What is read of a row, as a text."""
        values = [row.get(role) for role in (*self.roles, *self.optional) if "label" not in role]
        return " | ".join(" ".join(v) if isinstance(v, list) else str(v) for v in values if v)

    def shown(self, answer: Any, row: Row) -> str:
        """A prediction or a reference as a text."""
        return " ".join(map(str, answer)) if isinstance(answer, list) else str(answer)

    def outputs_of(
        self, outputs: Float[np.ndarray, "B ..."], labels: Labels
    ) -> dict[int, np.ndarray]:
        """The outputs of each feature of a batch, by its number."""
        index = np.asarray(labels.index)
        return {int(index[at]): outputs[at] for at in zip(*np.nonzero(index >= 0), strict=True)}


def begins(placed: Placed) -> Int[np.ndarray, "B N"]:
    """Position of the first token of each feature in its row; 0 where a slot is empty."""
    found = np.zeros((placed.shape[0], placed.slots), np.int32)
    found[placed.row, placed.slot] = placed.begin
    return found


def filled(placed: Placed) -> Float[np.ndarray, "B N"]:
    """1 where a slot of a row has a feature, else 0. float32"""
    found = np.zeros((placed.shape[0], placed.slots), np.float32)
    found[placed.row, placed.slot] = 1
    return found


def numbers(placed: Placed) -> Int[np.ndarray, "B N"]:
    """Number of the feature in each slot of a row; -1: none."""
    found = np.full((placed.shape[0], placed.slots), -1, np.int32)
    found[placed.row, placed.slot] = placed.number
    return found


def slot_labels(placed: Placed, dtype: Any, shape: tuple[int, ...] = ()) -> Labels:
    """The label of each feature, of this shape, at its slot in its row; weight 0 elsewhere."""
    weights = filled(placed)
    classes = np.zeros((*weights.shape, *shape), dtype)
    if placed.features:
        classes[placed.row, placed.slot] = [one.label for one in placed.features]
    return Labels(begins(placed), classes, weights, numbers(placed))


def stacked(
    outputs: Sequence[np.ndarray], features: Sequence[Feature]
) -> tuple[Float[np.ndarray, "N ..."], np.ndarray]:
    """(outputs, labels) of features with one output each."""
    return np.stack(outputs), np.array([one.label for one in features])


def token_outputs(
    outputs: Float[np.ndarray, "B T C"], labels: Labels
) -> dict[int, Float[np.ndarray, "t C"]]:
    """The outputs from the first token of each feature on, by the feature's number."""
    index, at = np.asarray(labels.index), np.asarray(labels.at)
    places = zip(*np.nonzero(index >= 0), strict=True)
    return {int(index[row, n]): outputs[row, at[row, n] :] for row, n in places}
