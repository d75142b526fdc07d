"""Analysis of a power law: the exponent of a measure over the levels of a key."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fxformer.claims.analysis import Analysis, ClaimFinding, Measurements
from fxformer.metrics.confidence import ConfidenceInterval


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogLogSlope(Analysis):
    """Slope of log(measure) against log(level): the exponent of a power law.

    Least squares for each seed over all levels; the interval of Student's t over the slopes.
    """

    arm: str

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm,)

    @property
    def reads_levels(self) -> bool:
        return True

    def finding(self, found: Measurements) -> ClaimFinding:
        about = f"exponent of {self.measure}: {self.arm}"
        levels = found.levels(self.measure, self.arm)
        columns = [found.by_seed(self.measure, self.arm, level) for level in levels]
        seeds = set.intersection(*map(set, columns)) if columns else set()
        slopes = [
            slope(levels, [column[seed] for column in columns])
            for seed in sorted(seeds)
            if all(column[seed] > 0 for column in columns)
        ]
        if not slopes or len(levels) < 2:
            return ClaimFinding.empty(about)
        return self.judged(ConfidenceInterval.of(slopes, self.confidence), about)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope of log y against log x."""
    a, b = np.log(np.asarray(x, np.float64)), np.log(np.asarray(y, np.float64))
    a = a - a.mean()
    return float((a * b).sum() / (a * a).sum())
