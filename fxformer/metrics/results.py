"""Results of several metrics on one set of examples: numbers, signatures, remarks, intervals."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fxformer.metrics.base import Metric, Result
from fxformer.metrics.confidence import bootstrap


@dataclasses.dataclass(frozen=True)
class Score:
    """A number of a metric with its bootstrap interval over examples.

    low, high: None where there is no interval (fewer than two examples, or NaN)
    examples: number of examples
    """

    value: float
    low: float | None
    high: float | None
    confidence: float
    signature: str
    higher_is_better: bool
    examples: int

    def __str__(self) -> str:
        """`0.873 [0.861, 0.885]`, or the number alone."""
        return number_text(self.value, self.low, self.high)

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def number_text(value: float, low: float | None = None, high: float | None = None) -> str:
    """`0.873 [0.861, 0.885]`: three significant digits; more where the interval is narrower."""
    if low is None or high is None:
        return f"{value:.3g}"
    digits = 3
    while digits < 6 and high > low and f"{low:.{digits}g}" == f"{high:.{digits}g}":
        digits += 1
    return f"{value:.{digits}g} [{low:.{digits}g}, {high:.{digits}g}]"


class MetricResults:
    """What several metrics say of the same predictions.

    Statistics are computed once, when it is made; intervals on first use.

    metrics, statistics: each metric with its statistics [N, K]
    notes: () -> what a reader must know besides the remarks of the metrics, a sentence each
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        predictions: Any,
        references: Any,
        notes: Callable[[], list[str]] = list,
    ) -> None:
        self.metrics = tuple(metrics)
        self.statistics: tuple[np.ndarray, ...] = tuple(
            metric.statistics(predictions, references) for metric in self.metrics
        )
        self.notes = notes
        parts = zip(self.metrics, self.statistics, strict=True)
        self.parts: tuple[Result, ...] = tuple(metric.result(rows) for metric, rows in parts)

    @property
    def examples(self) -> int:
        """Number of examples."""
        return max((len(rows) for rows in self.statistics), default=0)

    @functools.cached_property
    def values(self) -> dict[str, float]:
        """{name: number} of all metrics."""
        return {name: value for one in self.parts for name, value in one.values.items()}

    @functools.cached_property
    def remarks(self) -> list[str]:
        """What a reader of the numbers must know, each sentence once."""
        said = [remark for one in self.parts for remark in one.remarks]
        return list(dict.fromkeys([*self.notes(), *said]))

    @functools.cached_property
    def scores(self) -> dict[str, Score]:
        """{name: number with its bootstrap interval}."""
        found = {}
        parts = zip(self.metrics, self.statistics, self.parts, strict=True)
        for metric, rows, result in parts:
            for name, one in bootstrap(metric, rows).items():
                found[name] = Score(
                    result.values[name],
                    one.low,
                    one.high,
                    one.confidence,
                    result.signatures[name],
                    metric.directions[name],
                    result.examples,
                )
        return found
