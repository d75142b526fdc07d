"""Metric: statistics of each example, aggregated to numbers with a direction and a signature."""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from fxformer.errors import UserError


@dataclasses.dataclass(frozen=True)
class Result:
    """Numbers of one evaluation.

    values: {name: number}, the main one first; NaN where it is undefined
    signatures: {name: signature}; numbers of different signatures are not comparable
    examples: number of examples
    remarks: what a reader of the numbers must know, a sentence each
    """

    values: dict[str, float]
    signatures: dict[str, str]
    examples: int
    remarks: tuple[str, ...] = ()


class Metric(abc.ABC):
    """A metric: predictions, references -> statistics [N, K] -> {name: number}.

    Row n of the statistics depends on example n alone, so batches may be cut anywhere, and a
    bootstrap over examples resamples rows and never reads the predictions again.

    names: of the numbers, the main one first
    higher_is_better: direction of all of them (see `directions`)
    bounds: smallest and largest possible value; infinite where there is none
    library, version: what computes the numbers. The version of our own code changes when a number
        does, not with each release of the package

    A subclass is a frozen dataclass; its fields are the settings and enter the signature, except
    those with metadata {"signature": False}, which must not change the main number.
    """

    names: tuple[str, ...]
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)
    library: str = "fxformer"
    version: str = "1"

    @property
    def name(self) -> str:
        """Name of the main number, which decides which checkpoint is the best."""
        return self.names[0]

    @property
    def directions(self) -> dict[str, bool]:
        """{name: whether higher is better}."""
        return dict.fromkeys(self.names, self.higher_is_better)

    @abc.abstractmethod
    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """Statistics of each example, float64 [N, K].

        Raises UserError where predictions or references do not fit, naming the first example.
        """

    @abc.abstractmethod
    def aggregate(
        self, statistics: np.ndarray, weights: np.ndarray | None = None
    ) -> dict[str, float]:
        """{name: number} over examples.

        weights: int [N], how many times each example counts; None: once
        Without weights the numbers do not depend on the order of the rows, bit for bit. NaN in the
        statistics (a model that diverged) makes every number NaN, which is never the best.
        """

    def aggregate_many(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        """{name: float64 [R]} for R sets of weights, int [R, N]."""
        rows = [self.aggregate(statistics, row) for row in weights]
        return {name: np.array([row[name] for row in rows]) for name in self.names}

    def signature(self, statistics: np.ndarray | None = None) -> str:
        """Name, settings, library and version: `name|key:value|…|library:…|version:…`.

        statistics: of the evaluation; needed where a property of the data belongs to the signature,
            such as the number of references of BLEU
        """
        return sign(self.name, self.settings(), self.library, self.version)

    def signatures(self, statistics: np.ndarray | None = None) -> dict[str, str]:
        """{name: signature} of each number."""
        return dict.fromkeys(self.names, self.signature(statistics))

    def settings(self) -> dict[str, Any]:
        """{setting: value} of those that enter the signature."""
        fields = dataclasses.fields(self) if dataclasses.is_dataclass(self) else ()
        return {
            field.name: getattr(self, field.name)
            for field in fields
            if field.metadata.get("signature", True)
        }

    def remarks(self, statistics: np.ndarray) -> list[str]:
        """What a reader of the numbers must know, a sentence each."""
        return []

    def for_labels(self, labels: Sequence[str]) -> Self:
        """This metric for a task with these label names, in the order of their ids.

        Raises UserError where it cannot judge such labels; a task calls it before training.
        """
        return self

    def result(self, statistics: np.ndarray) -> Result:
        """Numbers, signature and remarks. UserError without examples."""
        if not len(statistics):
            raise UserError(f"{self.name}: there are no examples to evaluate")
        remarks = tuple(self.remarks(statistics))
        return Result(
            self.aggregate(statistics), self.signatures(statistics), len(statistics), remarks
        )

    def evaluate(self, predictions: Any, references: Any) -> Result:
        """The result for one set of examples."""
        return self.result(self.statistics(predictions, references))

    def undefined(self) -> dict[str, float]:
        """NaN for every number."""
        return dict.fromkeys(self.names, math.nan)


class SumMetric(Metric):
    """A metric whose numbers are functions of the column sums of its statistics."""

    @abc.abstractmethod
    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """{name: [...]} from column sums [..., K]."""

    def aggregate(
        self, statistics: np.ndarray, weights: np.ndarray | None = None
    ) -> dict[str, float]:
        if np.isnan(statistics).any():
            return self.undefined()
        if weights is None:  # exactly rounded, so that the order of examples does not matter
            sums = np.array([math.fsum(column) for column in statistics.T])
        else:
            sums = np.asarray(weights, np.float64) @ statistics
        return {name: float(value) for name, value in self.from_sums(sums).items()}

    def aggregate_many(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        if np.isnan(statistics).any():
            return {name: np.full(len(weights), np.nan) for name in self.names}
        return self.from_sums(np.asarray(weights, np.float64) @ statistics)


class Accumulator:
    """Statistics of a metric, batch by batch.

    Batches may have any size. Rows that only pad the last batch are left out by `valid`.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._parts: list[np.ndarray] = []

    def add(self, predictions: Any, references: Any, valid: np.ndarray | None = None) -> None:
        """Add a batch.

        valid: bool [N], false for rows that pad the batch; None: all are examples
        """
        if valid is not None:
            kept = np.flatnonzero(np.asarray(valid, bool))
            predictions, references = _take(predictions, kept), _take(references, kept)
            if not len(kept):
                return
        self._parts.append(self.metric.statistics(predictions, references))

    def statistics(self) -> np.ndarray:
        """Statistics of all examples so far, float64 [N, K]. UserError without examples."""
        if not self._parts:
            raise UserError(f"{self.metric.name}: there are no examples to evaluate")
        return np.concatenate(self._parts)

    def result(self) -> Result:
        """The result for all examples so far."""
        return self.metric.result(self.statistics())


def _take(rows: Any, kept: np.ndarray) -> Any:
    return rows[kept] if isinstance(rows, np.ndarray) else [rows[index] for index in kept]


def sign(name: str, settings: dict[str, Any], library: str, version: str) -> str:
    """A signature: `name|key:value|…|library:…|version:…`."""
    parts = [name, *(f"{key}:{spell(value)}" for key, value in settings.items())]
    return "|".join([*parts, f"library:{library}", f"version:{version}"])


def spell(value: Any) -> str:
    """A setting as signatures write it: yes and no, no exponent for whole numbers."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, 0 where below is 0. float64, broadcast."""
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.zeros(above.shape), where=below != 0)


def f_score(true_positive: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """2 TP / (predicted + actual), the harmonic mean of precision and recall; 0 without either."""
    return ratio(2 * np.asarray(true_positive), np.asarray(predicted) + np.asarray(actual))
