"""Report of a bias audit: intervals of each model by category, and paired differences."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fxformer.errors import UserError
from fxformer.evaluate.bias.base import BiasAudit, Measured
from fxformer.evaluate.bias.examples import BiasExample
from fxformer.metrics.base import Metric
from fxformer.metrics.confidence import (
    BootstrapInterval,
    PairedDifference,
    bootstrap,
    paired_bootstrap,
)

ALL = "all"


@dataclasses.dataclass(frozen=True)
class CategoryScores:
    """Scores of one model in one category.

    examples: how many; values: {name: bootstrap interval}
    """

    examples: int
    values: dict[str, BootstrapInterval]


@dataclasses.dataclass(frozen=True)
class Difference:
    """Differences of two models on the same examples, second minus first: {category: {name: …}}."""

    first: str
    second: str
    categories: dict[str, dict[str, PairedDifference]]


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    audit: with its settings
    examples: those that every model could read; left_out: how many were not
    models, scores: the measures of each model on these examples, and {category: scores}
    differences: of each model to the first
    """

    audit: BiasAudit
    examples: Sequence[BiasExample]
    left_out: int
    models: Sequence[Measured]
    scores: Sequence[dict[str, CategoryScores]]
    differences: Sequence[Difference]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers."""
        return tuple(next(iter(self.scores[0].values())).values)

    @property
    def remarks(self) -> list[str]:
        """What a reader must know, a sentence each."""
        said = list(dict.fromkeys(one for model in self.models for one in model.remarks))
        if self.left_out:
            said.append(
                f"{self.left_out} examples are left out: not every model reads them whole, or they "
                "have no token to score"
            )
        return said

    def plain(self, rows: bool = True) -> dict[str, Any]:
        """For JSON: numbers, categories and ids, never a text.

        rows: whether to add the log-odds of each example
        """
        settings = dataclasses.asdict(self.audit)
        found: dict[str, Any] = {
            "audit": self.audit.name,
            "title": self.audit.title,
            "measures": self.audit.measures,
            "settings": {k: v for k, v in settings.items() if k not in ("root", "files")},
            "examples": len(self.examples),
            "left_out": self.left_out,
            "remarks": self.remarks,
            "models": [self._model(n) for n in range(len(self.models))],
            "differences": [dataclasses.asdict(one) for one in self.differences],
        }
        for difference, category in itertools.product(found["differences"], self.scores[0]):
            for value in difference["categories"][category].values():
                value.pop("better")  # these numbers have no better direction
        if rows:
            odds = zip(*(model.log_odds.tolist() for model in self.models), strict=True)
            pairs = zip(self.examples, odds, strict=True)
            found["rows"] = [{"id": one.id, "log_odds": list(values)} for one, values in pairs]
        return finite(found)

    def _model(self, number: int) -> dict[str, Any]:
        model = self.models[number]
        scores = {name: dataclasses.asdict(one) for name, one in self.scores[number].items()}
        return {
            "model": model.name,
            "architecture": model.architecture,
            "scored": model.scored,
            "categories": scores,
        }


def report(
    audit: BiasAudit, examples: Sequence[BiasExample], measured: Sequence[Measured]
) -> AuditReport:
    """Intervals and paired differences on the examples that every model could read.

    Raises UserError where there are none.
    """
    kept = functools.reduce(np.intersect1d, [one.kept for one in measured])
    if not len(kept):
        raise UserError(
            f"{audit.name}: there is no example that every model can score: the sentences are too "
            "long for one (a larger data.length in training), or the same to its tokenizer"
        )
    models = [one.restricted(kept) for one in distinct(measured)]
    chosen = [examples[index] for index in kept]
    metric, places = audit.metric(examples), categories(chosen)
    scores = [
        {name: _scores(metric, model.statistics[rows], audit.seed) for name, rows in places.items()}
        for model in models
    ]
    differences = [
        Difference(models[0].name, other.name, _paired(audit, metric, models[0], other, places))
        for other in models[1:]
    ]
    return AuditReport(audit, chosen, len(examples) - len(kept), models, scores, differences)


def finite(value: Any) -> Any:
    """Plain values with None in the place of numbers that are not finite, which JSON has not."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def distinct(measured: Sequence[Measured]) -> list[Measured]:
    """The models with names that differ."""
    found: list[Measured] = []
    for one in measured:
        same = sum(other.name.partition(" #")[0] == one.name for other in found)
        found.append(dataclasses.replace(one, name=f"{one.name} #{same + 1}") if same else one)
    return found


def categories(examples: Sequence[BiasExample]) -> dict[str, np.ndarray]:
    """{category: indices of its examples}; all of them first."""
    names = sorted({name for one in examples for name in one.categories})
    found = {ALL: np.arange(len(examples))}
    for name in names:
        found[name] = np.flatnonzero([name in one.categories for one in examples])
    return found


def _scores(metric: Metric, statistics: np.ndarray, seed: int) -> CategoryScores:
    return CategoryScores(len(statistics), bootstrap(metric, statistics, seed=seed))


def _paired(
    audit: BiasAudit, metric: Metric, first: Measured, second: Measured, places: dict
) -> dict[str, dict[str, PairedDifference]]:
    found = {}
    for name, rows in places.items():
        pair = first.statistics[rows], second.statistics[rows]
        if len(rows) > 1:
            found[name] = paired_bootstrap(metric, *pair, seed=audit.seed)
        else:
            one, two = (metric.aggregate(each) for each in pair)
            found[name] = {
                k: PairedDifference(two[k] - one[k], None, None, float("nan"), None) for k in one
            }
    return found
