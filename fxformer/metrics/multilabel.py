"""Metrics of multi-label classification: micro and macro F1 of classes called by a threshold."""

import dataclasses
import math
from typing import Any

import numpy as np

from fxformer.metrics.base import SumMetric, f_score
from fxformer.metrics.inputs import multi_label
from fxformer.types import Proportion


@dataclasses.dataclass(frozen=True)
class MultiLabelF1(SumMetric):
    """F1 of multi-hot labels; a class is called where sigmoid(logit) > threshold.

    Predictions are logits, float [N, C], references multi-hot labels of 0 and 1, [N, C].

    threshold: probability above which a class is called
    """

    threshold: Proportion = 0.5

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """Whether each class is a true positive, called, true: [N, 3 C]."""
        logits, actual = multi_label(self.name, predictions, references)
        edge = math.log(self.threshold / (1 - self.threshold))
        called = np.where(np.isnan(logits), np.nan, logits > edge)
        return np.concatenate([called * actual, called, actual], axis=1)


@dataclasses.dataclass(frozen=True)
class MicroMultiLabelF1(MultiLabelF1):
    """F1 of all decisions (example, class) pooled."""

    names = ("f1_micro",)

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        counts = sums.reshape(*sums.shape[:-1], 3, -1).sum(axis=-1)
        return {self.name: f_score(*np.moveaxis(counts, -1, 0))}


@dataclasses.dataclass(frozen=True)
class MacroMultiLabelF1(MultiLabelF1):
    """Mean F1 of all classes; 0 for a class that is neither true nor called anywhere."""

    names = ("f1_macro",)

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        hits, called, actual = np.split(sums, 3, axis=-1)
        return {self.name: f_score(hits, called, actual).mean(axis=-1)}
