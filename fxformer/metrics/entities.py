"""Entity F1 of token classification: an entity counts where its type and both ends agree."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np

from fxformer.errors import UserError
from fxformer.metrics.base import SumMetric
from fxformer.metrics.classification import precision_recall_f1
from fxformer.metrics.inputs import same_length
from fxformer.metrics.tagging import (
    Scheme,
    check_label,
    detect_scheme,
    entity_types,
    lenient_entities,
    strict_entities,
)


@dataclasses.dataclass(frozen=True)
class EntityF1(SumMetric):
    """Micro F1, precision and recall of entities, as seqeval; 0 without a correct entity.

    Predictions and references are a list of labels ("B-PER", "O") for each example, of one length.
    A label of another scheme is an error, so that it cannot pass as an F1 of 0.

    scheme: "IO", "BIO" or "BIOES"; "auto": that of the labels of the task (`for_labels`)
    mode: "strict": sequences that break the scheme yield no entity; "lenient": as conlleval, where
        an I without a B begins an entity, which most published F1 use (seqeval's default)
    types: entity types; they do not change the numbers, but the statistics are kept by type
    """

    names = ("entity_f1", "entity_precision", "entity_recall")

    scheme: Literal["auto", "IO", "BIO", "BIOES"] = "auto"
    mode: Literal["strict", "lenient"] = "strict"
    types: tuple[str, ...] | None = dataclasses.field(default=None, metadata={"signature": False})

    def for_labels(self, labels: Sequence[str]) -> Self:
        """With the scheme and the types of these labels. UserError for one of another scheme."""
        scheme = detect_scheme(labels) if self.scheme == "auto" else self.scheme
        for label in labels:
            check_label(label, scheme)
        return dataclasses.replace(self, scheme=scheme, types=entity_types(labels))

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """Correct, predicted and true entities by type, [N, 3 T]; all types as one without
        `types`."""
        scheme = self._scheme()
        same_length(self.name, predictions, references)
        rows = np.zeros((len(references), 3, len(self.types or ("",))))
        for index, pair in enumerate(zip(predictions, references, strict=True)):
            try:
                self._count(rows[index], *pair, scheme)
            except UserError as error:
                raise UserError(f"{self.name}: example {index}: {error}") from None
        return rows.reshape(len(rows), -1)

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        counts = sums.reshape(*sums.shape[:-1], 3, -1).sum(axis=-1)
        found = precision_recall_f1(*np.moveaxis(counts, -1, 0))
        return {f"entity_{name}": value for name, value in found.items()}

    def table(self, statistics: np.ndarray) -> dict[str, dict[str, float]]:
        """{type: {"f1", "precision", "recall", "support"}}; support: number of true entities.

        UserError unless the metric knows the types (`for_labels`).
        """
        if self.types is None:
            raise UserError(f"{self.name}: a table by type needs the labels of the task")
        counts = statistics.sum(axis=0).reshape(3, -1)
        columns = precision_recall_f1(*counts) | {"support": counts[2]}
        return {
            kind: {name: float(column[place]) for name, column in columns.items()}
            for place, kind in enumerate(self.types)
        }

    def _scheme(self) -> Scheme:
        if self.scheme == "auto":
            raise UserError(
                f"{self.name}: scheme=auto needs the labels of the task; write BIO, IO or BIOES"
            )
        return self.scheme

    def _count(
        self, row: np.ndarray, predicted: Sequence[str], actual: Sequence[str], scheme: Scheme
    ) -> None:
        """Add the counts of one example to its row [3, T]."""
        if len(predicted) != len(actual):
            raise UserError(f"{len(predicted)} predicted labels for {len(actual)} tokens")
        read = strict_entities if self.mode == "strict" else lenient_entities
        found, wanted = set(read(predicted, scheme)), set(read(actual, scheme))
        for place, entities in enumerate((found & wanted, found, wanted)):
            for kind, *_ in entities:
                row[place, self._column(kind)] += 1

    def _column(self, kind: str) -> int:
        if self.types is None:
            return 0
        if kind not in self.types:
            raise UserError(f"entity type {kind!r} is not among {', '.join(self.types)}")
        return self.types.index(kind)
