"""Cost of a search, and the estimated cost of a grid search over the same space."""

import dataclasses
import math
from collections.abc import Sequence

from fxformer.errors import UserError
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.search.study import Dimension, Study, Trial

RESOLUTION = 5  # grid values per interval


@dataclasses.dataclass(frozen=True)
class Cost:
    """Totals over all trials, including crashed, killed and pruned ones.

    joules, kwh, gco2e, seconds: sums over trials; wall time, all phases
    by_state: {state: kwh}
    budget_kwh: of the study, None without a budget
    kwh_per_trial: of unpruned trials, see `kwh_of_unpruned`; None before the first is complete
    grid_trials: number of trials of the grid, without skipped ones where the search is the grid
    resolution: grid values per interval
    grid_kwh: kwh_per_trial × grid_trials, with the confidence interval of the mean. The cost of a
        trial does not depend on the sampler, so the mean over random trials is that of the grid
    """

    joules: float
    kwh: float
    gco2e: float
    seconds: float
    by_state: dict[str, float]
    budget_kwh: float | None
    kwh_per_trial: ConfidenceInterval | None
    grid_trials: int
    resolution: int
    grid_kwh: ConfidenceInterval | None


def cost(study: Study, trials: Sequence[Trial], resolution: int = RESOLUTION) -> Cost:
    """The cost of a study. UserError for a resolution below 1."""
    if resolution < 1:
        raise UserError(f"--resolution: expected at least 1, got {resolution}")
    by_state: dict[str, float] = {}
    for trial in trials:
        if trial.kwh:
            by_state[trial.status] = by_state.get(trial.status, 0.0) + trial.kwh
    each, size = kwh_of_unpruned(study, trials), grid_size(study.space, resolution)
    skipped = sum(trial.state == "skipped" for trial in trials)
    size -= skipped if study.total == size else 0  # configs that cannot run
    mean = ConfidenceInterval.of(each) if each else None
    return Cost(
        joules=sum(trial.joules for trial in trials),
        kwh=sum(trial.kwh for trial in trials),
        gco2e=sum(trial.gco2e for trial in trials),
        seconds=sum(trial.seconds for trial in trials),
        by_state=by_state,
        budget_kwh=study.budget_kwh,
        kwh_per_trial=mean,
        grid_trials=size,
        resolution=resolution,
        grid_kwh=None if mean is None else _times(mean, size),
    )


def kwh_of_unpruned(study: Study, trials: Sequence[Trial]) -> list[float]:
    """kWh of each complete trial, and of each pruned one extrapolated to the last step.

    Without the pruned trials the mean would be biased towards trials that survive pruning. They are
    left out where the number of steps is itself searched.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    ends = {trial.reports[-1][0] for trial in complete if trial.reports}
    found = [trial.kwh for trial in complete]
    if len(ends) == 1:
        (end,) = ends
        paces = [pace for trial in complete if (pace := _pace(trial)) is not None]
        for trial in trials:
            if trial.state == "pruned" and trial.reports:
                step = trial.reports[-1][0]
                pace = _pace(trial) or (sum(paces) / len(paces) if paces else trial.kwh / step)
                found.append(trial.kwh + (end - step) * pace)
    return [kwh for kwh in found if kwh > 0]


def _pace(trial: Trial) -> float | None:
    """kWh per step between the first and the last report, without one-time costs."""
    (first, _, before), (last, _, after) = trial.reports[0], trial.reports[-1]
    return (after - before) / (last - first) if last > first and after > before else None


def grid_size(space: Sequence[Dimension], resolution: int) -> int:
    """Number of grid points: all choices, up to `resolution` integers, and `resolution` values per
    interval."""
    return math.prod(_values(dimension, resolution) for dimension in space)


def _values(dimension: Dimension, resolution: int) -> int:
    if dimension.kind == "choice":
        return len(dimension.choices)
    if dimension.kind == "integer":
        low, high = dimension.ends
        return min(resolution, int(high - low) + 1)
    return resolution if dimension.low != dimension.high else 1


def _times(mean: ConfidenceInterval, size: int) -> ConfidenceInterval:
    low, high = (None if end is None else max(end, 0.0) * size for end in (mean.low, mean.high))
    return ConfidenceInterval(mean.mean * size, mean.n, low, high)
