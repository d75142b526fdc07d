"""Correlation of predicted and true numbers: Pearson and Spearman."""

import abc
import dataclasses
import math
from typing import Any

import numpy as np

from fxformer.metrics.base import Metric
from fxformer.metrics.inputs import numbers


class Correlation(Metric):
    """A correlation. Its statistics are prediction and reference of each example, [N, 2].

    Predictions are numbers, [N] or [N, 1], references numbers [N]. NaN where either is constant.
    """

    bounds = (-1.0, 1.0)

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        return np.stack(numbers(self.name, predictions, references), axis=1)

    def aggregate(
        self, statistics: np.ndarray, weights: np.ndarray | None = None
    ) -> dict[str, float]:
        rows = statistics
        if weights is not None:
            rows = np.repeat(rows, np.asarray(weights, np.int64), axis=0)
        if len(rows) < 2 or not np.isfinite(rows).all():
            return self.undefined()
        rows = rows[np.lexsort(rows.T)]  # sums do not depend on the order of the examples
        return {self.name: self.correlation(*rows.T)}

    @abc.abstractmethod
    def correlation(self, left: np.ndarray, right: np.ndarray) -> float:
        """Of two finite sequences [N]."""

    def remarks(self, statistics: np.ndarray) -> list[str]:
        sides = zip(("predictions", "references"), statistics.T, strict=True)
        return [
            f"{self.name} is undefined: all {what} are {column[0]:g}"
            for what, column in sides
            if len(column) and (column == column[0]).all()
        ]


@dataclasses.dataclass(frozen=True)
class Pearson(Correlation):
    """Covariance over the product of the standard deviations."""

    names = ("pearson",)

    def correlation(self, left: np.ndarray, right: np.ndarray) -> float:
        return pearson(left, right)


@dataclasses.dataclass(frozen=True)
class Spearman(Correlation):
    """Pearson correlation of the ranks; equal numbers share their mean rank."""

    names = ("spearman",)

    def correlation(self, left: np.ndarray, right: np.ndarray) -> float:
        return pearson(ranks(left), ranks(right))


def pearson(left: np.ndarray, right: np.ndarray) -> float:
    """Pearson correlation of two finite sequences [N]; NaN where one is constant."""
    if (left == left[0]).all() or (right == right[0]).all():
        return math.nan
    left, right = (_unit(side - side.mean()) for side in (left, right))
    return float(np.clip(left @ right, -1.0, 1.0))


def _unit(centred: np.ndarray) -> np.ndarray:
    scaled = centred / np.abs(centred).max()  # neither overflow nor underflow of the squares
    return scaled / np.sqrt(scaled @ scaled)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, float64 [N]; equal values share their mean rank."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[codes]
