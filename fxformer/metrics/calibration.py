"""Metrics of predicted probabilities: negative log-likelihood, expected calibration error."""

import dataclasses
from typing import Any

import numpy as np

from fxformer.metrics.base import SumMetric, ratio
from fxformer.metrics.inputs import log_softmax, predicted_class, single_label
from fxformer.types import Count


@dataclasses.dataclass(frozen=True)
class NegativeLogLikelihood(SumMetric):
    """Mean of -log p(label), in nats."""

    names = ("nll",)
    higher_is_better = False
    bounds = (0.0, np.inf)

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """-log p(label) and 1: [N, 2]."""
        logits, labels = single_label(self.name, predictions, references)
        found = -log_softmax(logits)[np.arange(len(labels)), labels]
        return np.stack([found, np.ones(len(labels))], axis=1)

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {self.name: ratio(sums[..., 0], sums[..., 1])}


@dataclasses.dataclass(frozen=True)
class CalibrationError(SumMetric):
    """Expected calibration error: Σ over bins of |hits - confidence| / N. Guo et al. 2017, eq. 3.

    Confidence is the probability of the predicted class. The bins are of equal width: bin b of B
    holds confidences in (b / B, (b + 1) / B]. It is biased upwards where bins hold few examples,
    and so is its bootstrap.

    bins: their number B
    """

    names = ("ece",)
    higher_is_better = False

    bins: Count = 15

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """Hit minus confidence in the column of its bin, and 1: [N, bins + 1]."""
        logits, labels = single_label(self.name, predictions, references)
        confidence = np.exp(log_softmax(logits).max(axis=1))
        hit = predicted_class(logits) == labels
        place = np.ceil(np.nan_to_num(confidence) * self.bins).astype(np.int64) - 1
        rows = np.zeros((len(labels), self.bins + 1))
        rows[:, -1] = 1
        rows[np.arange(len(labels)), np.clip(place, 0, self.bins - 1)] = hit - confidence
        return rows

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {self.name: ratio(np.abs(sums[..., :-1]).sum(axis=-1), sums[..., -1])}
