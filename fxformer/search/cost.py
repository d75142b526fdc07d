"""What a search cost, and what the grid of the same space would have."""

import dataclasses
import math
from collections.abc import Sequence

from fxformer.errors import UserError
from fxformer.search.configurations import Interval
from fxformer.search.study import Dimension, Study, Trial

RESOLUTION = 5  # values of an interval that a grid would try


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of all trials, crashed, killed and pruned ones too.

    joules, kwh, gco2e, seconds: sums over trials; wall time, all phases
    by_state: {state: kwh}
    budget_kwh: of the study, None where it has none
    trial: kwh of one whole trial, see `whole`; None before the first is complete
    grid: trials of the grid, less those skipped where the search is the whole grid
    resolution: its values of each interval
    grid_kwh: trial × grid. The interval is of the mean: a trial's cost does not depend on how its
        parameters were drawn, so the mean over random ones is that over the grid's
    """

    joules: float
    kwh: float
    gco2e: float
    seconds: float
    by_state: dict[str, float]
    budget_kwh: float | None
    trial: Interval | None
    grid: int
    resolution: int
    grid_kwh: Interval | None


def cost(study: Study, trials: Sequence[Trial], resolution: int = RESOLUTION) -> Cost:
    """Add up. UserError for a grid without points."""
    if resolution < 1:
        raise UserError(f"a grid has at least 1 value of an interval, not {resolution}")
    by_state: dict[str, float] = {}
    for trial in trials:
        if trial.kwh:
            by_state[trial.status] = by_state.get(trial.status, 0.0) + trial.kwh
    each, size = whole(study, trials), grid_size(study.space, resolution)
    skipped = sum(trial.state == "skipped" for trial in trials)
    size -= skipped if study.total == size else 0  # these cannot run
    mean = Interval.of(each) if each else None
    return Cost(
        joules=sum(trial.joules for trial in trials),
        kwh=sum(trial.kwh for trial in trials),
        gco2e=sum(trial.gco2e for trial in trials),
        seconds=sum(trial.seconds for trial in trials),
        by_state=by_state,
        budget_kwh=study.budget_kwh,
        trial=mean,
        grid=size,
        resolution=resolution,
        grid_kwh=None if mean is None else _times(mean, size),
    )


def whole(study: Study, trials: Sequence[Trial]) -> list[float]:
    """kwh of each complete trial; and of each pruned one, as if it had gone on to the last step.

    Without these the mean would be that of the trials which pruning spared. Where the number of
    steps is itself searched for, nothing tells how far a pruned one would have gone: left out.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    ends = {trial.reports[-1][0] for trial in complete if trial.reports}
    found = [trial.kwh for trial in complete]
    if len(ends) == 1:
        (end,) = ends
        usual = [pace for trial in complete if (pace := _pace(trial)) is not None]
        for trial in trials:
            if trial.state == "pruned" and trial.reports:
                step = trial.reports[-1][0]
                pace = _pace(trial) or (sum(usual) / len(usual) if usual else trial.kwh / step)
                found.append(trial.kwh + (end - step) * pace)
    return [kwh for kwh in found if kwh > 0]


def _pace(trial: Trial) -> float | None:
    """kwh a step between its first and last report: what comes once is not in it."""
    (first, _, before), (last, _, after) = trial.reports[0], trial.reports[-1]
    return (after - before) / (last - first) if last > first and after > before else None


def grid_size(space: Sequence[Dimension], resolution: int) -> int:
    """Points of the grid: all choices, all integers up to `resolution` of them, and `resolution`
    values of each interval."""
    return math.prod(_values(dimension, resolution) for dimension in space)


def _values(dimension: Dimension, resolution: int) -> int:
    if dimension.kind == "choice":
        return len(dimension.choices)
    if dimension.kind == "integer":
        return min(resolution, int(dimension.high - dimension.low) + 1)
    return resolution if dimension.high > dimension.low else 1


def _times(mean: Interval, size: int) -> Interval:
    low, high = (None if end is None else max(end, 0.0) * size for end in (mean.low, mean.high))
    return Interval(mean.mean * size, mean.n, low, high)
