"""Analysis of a straight line: how much of a measure another one explains over the arms."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fxformer.claims.analysis import Analysis, ClaimFinding, Measurements
from fxformer.metrics.confidence import ConfidenceInterval


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearFit(Analysis):
    """Coefficient of determination R² of a least-squares line of `measure` against `by`, over the
    arms, for each seed; the interval of Student's t over the seeds.

    over: names of three arms or more
    by: name of the measure on the horizontal axis
    """

    over: list[str]
    by: str

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.over)

    @property
    def measures(self) -> tuple[str, ...]:
        return self.measure, self.by

    def finding(self, found: Measurements) -> ClaimFinding:
        about = f"R² of {self.measure} against {self.by}"
        x, y = (
            [found.by_seed(name, arm, self.at) for arm in self.over]
            for name in (self.by, self.measure)
        )
        seeds = set.intersection(*map(set, (*x, *y)))
        values = [
            determination([one[seed] for one in x], [one[seed] for one in y])
            for seed in sorted(seeds)
        ]
        if not values or len(self.over) < 3:
            return ClaimFinding.empty(about)
        return self.judged(ConfidenceInterval.of(values, self.confidence), about)


def determination(x: Sequence[float], y: Sequence[float]) -> float:
    """R² of the least-squares line of y against x; 0 where x does not vary."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    a, b = a - a.mean(), b - b.mean()
    if (spread := (a * a).sum() * (b * b).sum()) == 0:
        return 0.0
    return float((a * b).sum() ** 2 / spread)
