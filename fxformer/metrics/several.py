"""Several metrics of the same predictions, as one metric."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from fxformer.errors import UserError
from fxformer.metrics.base import Metric


@dataclasses.dataclass(frozen=True)
class Several(Metric):
    """Several metrics of the same predictions, such as accuracy and F1 of MRPC.

    The first one is the main one. Statistics are the columns of all of them.

    metrics: at least one; no number may have the name of another
    """

    metrics: Sequence[Metric]

    def __post_init__(self) -> None:
        names = [name for metric in self.metrics for name in metric.names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            raise UserError(
                f"metrics: {', '.join(twice)} occurs twice"
                if twice
                else "metrics: expected at least one metric"
            )
        object.__setattr__(self, "metrics", tuple(self.metrics))
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "higher_is_better", self.metrics[0].higher_is_better)
        object.__setattr__(self, "bounds", self.metrics[0].bounds)

    @property
    def directions(self) -> dict[str, bool]:
        return {name: up for metric in self.metrics for name, up in metric.directions.items()}

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """Columns of all metrics behind a row of their numbers: see `split`."""
        parts = [metric.statistics(predictions, references) for metric in self.metrics]
        widths = np.array([part.shape[1] for part in parts], np.float64)
        head = np.broadcast_to(widths, (len(parts[0]), len(widths)))
        return np.concatenate([head, *parts], axis=1)

    def split(self, statistics: np.ndarray) -> list[np.ndarray]:
        """The statistics of each metric. The first columns hold their widths."""
        count = len(self.metrics)
        widths = statistics[0, :count].astype(np.int64) if len(statistics) else [0] * count
        return np.split(statistics[:, count:], np.cumsum(widths)[:-1], axis=1)

    def aggregate(
        self, statistics: np.ndarray, weights: np.ndarray | None = None
    ) -> dict[str, float]:
        parts = zip(self.metrics, self.split(statistics), strict=True)
        return {k: v for metric, part in parts for k, v in metric.aggregate(part, weights).items()}

    def aggregate_many(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        parts = zip(self.metrics, self.split(statistics), strict=True)
        return {
            k: v for metric, part in parts for k, v in metric.aggregate_many(part, weights).items()
        }

    def signatures(self, statistics: np.ndarray | None = None) -> dict[str, str]:
        """{name: signature of its metric}."""
        parts = [None] * len(self.metrics) if statistics is None else self.split(statistics)
        return {
            name: one
            for metric, part in zip(self.metrics, parts, strict=True)
            for name, one in metric.signatures(part).items()
        }

    def signature(self, statistics: np.ndarray | None = None) -> str:
        return " & ".join(dict.fromkeys(self.signatures(statistics).values()))

    def remarks(self, statistics: np.ndarray) -> list[str]:
        parts = zip(self.metrics, self.split(statistics), strict=True)
        said = [remark for metric, part in parts for remark in metric.remarks(part)]
        return list(dict.fromkeys(said))

    def for_labels(self, labels: Sequence[str]) -> Self:
        return dataclasses.replace(
            self, metrics=tuple(metric.for_labels(labels) for metric in self.metrics)
        )
