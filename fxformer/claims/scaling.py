"""Scaling laws over the arms of a study: exponents, optimal sizes, forecasts."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np

from fxformer.claims.analysis import Analysis, ClaimFinding, Measurements
from fxformer.claims.exponent import slope
from fxformer.errors import UserError
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.types import Range

Point = tuple[float, float]  # cost, measure


@dataclasses.dataclass(frozen=True, kw_only=True)
class PowerLaw(Analysis):
    """Exponent of a measure against another one over arms: the slope of log against log.

    Least squares for each seed, then the interval of Student's t over the seeds. Kaplan et al. 2020
    (arXiv 2001.08361), section 1.2, with the measure as it is, without a constant term.

    over: arms, models of different sizes
    cost: measure on the other axis: parameters, tokens, FLOPs or joules
    every_level: take the runs of all levels, not only those at `at`
    frontier: only runs of which no run at the same or a lower cost has as low a measure; Hoffmann
        et al. 2022 (arXiv 2203.15556), section 3.1
    """

    over: list[str]
    cost: str
    every_level: bool = False
    frontier: bool = False

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.over)

    @property
    def measures(self) -> tuple[str, ...]:
        return self.measure, self.cost

    @property
    def reads_levels(self) -> bool:
        return self.every_level

    @property
    def about(self) -> str:
        """The effect in words."""
        return f"exponent of {self.measure} against {self.cost}: {', '.join(self.over)}"

    def finding(self, found: Measurements) -> ClaimFinding:
        fits = map(_fit, self.points(found, self.over, self.frontier).values())
        slopes = [fit[0] for fit in fits if fit is not None]
        if not slopes:
            return ClaimFinding.empty(self.about)
        return self.judged(ConfidenceInterval.of(slopes, self.confidence), self.about)

    def points(
        self, found: Measurements, arms: Sequence[str], frontier: bool
    ) -> dict[int, list[Point]]:
        """{seed: points} of the seeds that have a positive number in every cell."""
        cells = [
            (found.by_seed(self.cost, arm, level), found.by_seed(self.measure, arm, level))
            for arm in arms
            for level in (found.levels(self.measure, arm) if self.every_level else [self.at])
        ]
        seeds = set.intersection(*({*a} & {*b} for a, b in cells)) if cells else set()
        kept = {}
        for seed in sorted(seeds):
            points = [(cost[seed], value[seed]) for cost, value in cells]
            if all(math.isfinite(n) and n > 0 for point in points for n in point):
                kept[seed] = pareto_frontier(points) if frontier else points
        return kept


@dataclasses.dataclass(frozen=True, kw_only=True)
class PowerLawForecast(PowerLaw):
    """Forecast of an arm by the power law through the others, divided by what it measured; 1 is
    right.

    held_out: the arm that is forecast, larger than those of `over`
    """

    held_out: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.held_out in self.over:
            raise UserError(f"PowerLawForecast: held_out={self.held_out} is one of over")

    @property
    def arms(self) -> tuple[str, ...]:
        return *self.over, self.held_out

    @property
    def about(self) -> str:
        return f"{self.measure} of {self.held_out}, forecast from {self.cost} / measured"

    def finding(self, found: Measurements) -> ClaimFinding:
        known = self.points(found, self.over, self.frontier)
        ratios = []
        for seed, measured in self.points(found, [self.held_out], False).items():
            if (fit := _fit(known.get(seed, []))) is not None:
                logs = [fit[1] + fit[0] * math.log(cost) - math.log(y) for cost, y in measured]
                ratios.append(math.exp(float(np.mean(logs))))
        if not ratios:
            return ClaimFinding.empty(self.about)
        return self.judged(ConfidenceInterval.of(ratios, self.confidence), self.about)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimalSize(Analysis):
    """Exponent of the size with the lowest measure against the budget.

    At each of several budgets between the lowest and the highest cost the measure of an arm is
    interpolated over the levels, logarithm against logarithm; a parabola over the logarithm of the
    size has its lowest point at the optimal size. Hoffmann et al. 2022 (arXiv 2203.15556), section
    3.2. Budgets at which fewer than three arms have numbers on both sides, or whose parabola has
    no lowest point between its sizes, are left out; two must remain.

    over: arms, models of different sizes
    size, cost: measures: parameters of a model; FLOPs or joules of a run
    budgets: how many, evenly spaced by their logarithms
    """

    over: list[str]
    size: str
    cost: str
    budgets: Annotated[int, Range(2, 1000)] = 16

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.over)

    @property
    def measures(self) -> tuple[str, ...]:
        return self.measure, self.size, self.cost

    @property
    def reads_levels(self) -> bool:
        return True

    def finding(self, found: Measurements) -> ClaimFinding:
        about = f"exponent of the optimal {self.size} against {self.cost}"
        slopes = []
        for seed in sorted({seed for _, _, seed in found.numbers.get(self.measure, {})}):
            curves = [one for arm in self.over if len(one := self._curve(found, arm, seed)) > 1]
            ends = [one[end, 2] for one in curves for end in (0, -1)]
            budgets = np.linspace(min(ends), max(ends), self.budgets) if ends else []
            best = [
                (budget, size)
                for budget in budgets
                if (size := optimum(curves, budget)) is not None
            ]
            if len(best) > 1:
                logs = np.asarray(best)
                slopes.append(float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0]))
        if not slopes:
            return ClaimFinding.empty(about)
        return self.judged(ConfidenceInterval.of(slopes, self.confidence), about)

    def _curve(self, found: Measurements, arm: str, seed: int) -> np.ndarray:
        """Logarithms of (measure, size, cost) at each level, by cost."""
        rows = [
            [found.by_seed(name, arm, level).get(seed, math.nan) for name in self.measures]
            for level in found.levels(self.measure, arm)
        ]
        whole = [row for row in rows if all(math.isfinite(n) and n > 0 for n in row)]
        return np.log(np.asarray(sorted(whole, key=lambda row: row[2])).reshape(-1, 3))


def optimum(curves: Sequence[np.ndarray], budget: float) -> float | None:
    """Logarithm of the size with the lowest measure at a budget, itself a logarithm; None where
    fewer than three curves reach over it or no size between theirs is the lowest.

    curves: of each size the logarithms of (measure, size, cost), by cost
    """
    there = [one for one in curves if one[0, 2] <= budget <= one[-1, 2]]
    if len(there) < 3:
        return None
    sizes = [float(one[0, 1]) for one in there]
    bend, tilt, _ = np.polyfit(sizes, [np.interp(budget, one[:, 2], one[:, 0]) for one in there], 2)
    lowest = -tilt / (2 * bend) if bend > 0 else math.nan
    return lowest if min(sizes) <= lowest <= max(sizes) else None


def pareto_frontier(points: Sequence[Point]) -> list[Point]:
    """The points of which no other one at the same or a lower cost has as low a value."""
    kept: list[Point] = []
    for cost, value in sorted(points):
        if not kept or value < kept[-1][1]:
            kept.append((cost, value))
    return kept


def _fit(points: Sequence[Point]) -> tuple[float, float] | None:
    """(slope, intercept) of log value on log cost; None where all costs are equal."""
    costs, values = np.asarray(points, np.float64).reshape(-1, 2).T
    if len(set(costs)) < 2:
        return None
    steepness = slope(costs.tolist(), values.tolist())
    return steepness, float(np.log(values).mean() - steepness * np.log(costs).mean())
