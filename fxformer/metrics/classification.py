"""Metrics of single-label classification from predicted classes: accuracy, Matthews, F1."""

import abc
import dataclasses
from typing import Any

import numpy as np

from fxformer.errors import UserError
from fxformer.metrics.base import Metric, SumMetric, f_score, ratio
from fxformer.metrics.inputs import predicted_class, single_label
from fxformer.types import Natural


class ClassMetric(Metric):
    """A metric of the pairs (label, predicted class), which are its statistics, [N, 2].

    Predictions are logits, float [N, C]; the predicted class is the one with the largest logit, the
    first of equal ones. References are label ids, int [N].
    """

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        logits, labels = single_label(self.name, predictions, references)
        return np.stack([labels.astype(np.float64), predicted_class(logits)], axis=1)

    def aggregate(
        self, statistics: np.ndarray, weights: np.ndarray | None = None
    ) -> dict[str, float]:
        if np.isnan(statistics).any():
            return self.undefined()
        return {self.name: float(self.from_counts(*ClassCounts(statistics)(weights)))}

    def aggregate_many(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        if np.isnan(statistics).any():
            return {self.name: np.full(len(weights), np.nan)}
        counts = ClassCounts(statistics)
        return {self.name: np.array([self.from_counts(*counts(row)) for row in weights])}

    @abc.abstractmethod
    def from_counts(self, hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> float:
        """The number, from the counts of each class that occurs, [C] each: examples that are of it
        and predicted as it, examples predicted as it, examples of it."""


@dataclasses.dataclass(frozen=True)
class Accuracy(ClassMetric):
    """Share of the examples whose predicted class is their label."""

    names = ("accuracy",)

    def from_counts(self, hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> float:
        return hits.sum() / actual.sum()


@dataclasses.dataclass(frozen=True)
class BalancedAccuracy(ClassMetric):
    """Mean recall of the classes that occur among the labels. Brodersen et al. 2010."""

    names = ("balanced_accuracy",)

    def from_counts(self, hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> float:
        return (hits / np.maximum(actual, 1))[actual > 0].mean()


@dataclasses.dataclass(frozen=True)
class Matthews(ClassMetric):
    """Correlation of labels and predicted classes; 0 where either has one class only.

    Matthews 1975; for more than two classes R_K of Gorodkin 2004, eq. 8.
    """

    names = ("matthews",)
    bounds = (-1.0, 1.0)

    def from_counts(self, hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> float:
        n = actual.sum()
        covariance = hits.sum() * n - predicted @ actual
        variances = (n**2 - predicted @ predicted) * (n**2 - actual @ actual)
        return covariance / np.sqrt(variances) if variances > 0 else 0.0


@dataclasses.dataclass(frozen=True)
class MacroF1(ClassMetric):
    """Mean F1 of the classes that occur among labels or predictions."""

    names = ("f1_macro",)

    def from_counts(self, hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> float:
        return f_score(hits, predicted, actual)[predicted + actual > 0].mean()


@dataclasses.dataclass(frozen=True)
class MicroF1(Accuracy):
    """F1 of all classes pooled; with one label for each example it equals the accuracy."""

    names = ("f1_micro",)


@dataclasses.dataclass(frozen=True)
class PositiveF1(SumMetric):
    """F1, precision and recall of one class: MRPC and QQP in GLUE. 0 without a true positive.

    positive: id of the class
    """

    names = ("f1", "precision", "recall")

    positive: Natural = 1

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """Whether an example is a true positive, predicted positive, positive: [N, 3]."""
        logits, labels = single_label(self.name, predictions, references)
        if self.positive >= logits.shape[1]:
            raise UserError(
                f"{self.name}: positive={self.positive}, but the model has classes "
                f"0 … {logits.shape[1] - 1}"
            )
        predicted, actual = predicted_class(logits), labels == self.positive
        called = np.where(np.isnan(predicted), np.nan, predicted == self.positive)
        return np.stack([called * actual, called, actual], axis=1)

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return precision_recall_f1(*np.moveaxis(sums, -1, 0))


def precision_recall_f1(
    hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray
) -> dict[str, np.ndarray]:
    """{"f1", "precision", "recall"} from counts; 0 where a denominator is."""
    return {
        "f1": f_score(hits, predicted, actual),
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, actual),
    }


class ClassCounts:
    """Counts of the classes that occur in statistics (label, predicted class), [N, 2]."""

    def __init__(self, statistics: np.ndarray) -> None:
        _, codes = np.unique(statistics, return_inverse=True)
        self.labels, self.predicted = codes.reshape(statistics.shape).T
        self.size = int(codes.max()) + 1

    def __call__(self, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hits, predicted and actual count of each class, float64 [C] each.

        weights: [N], how often each example counts; None: once
        """
        counts = np.ones(len(self.labels)) if weights is None else np.asarray(weights, np.float64)
        hits = np.where(self.labels == self.predicted, counts, 0.0)
        return (
            np.bincount(self.labels, hits, self.size),
            np.bincount(self.predicted, counts, self.size),
            np.bincount(self.labels, counts, self.size),
        )
