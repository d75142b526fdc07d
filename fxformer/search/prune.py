"""Pruners: stop trials early. Each pruner is a class with one method, `stop_reason`.

A decision is a pure function of the reports of the trials, the same on every machine.
"""

import bisect
import dataclasses
import math
from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from fxformer.search.study import Study, Trial
from fxformer.types import Count, Natural, Positive, Range

JOULES = 3.6e6  # in a kWh


class Pruner(Protocol):
    """Called by the process of a trial after each evaluation but the last."""

    def stop_reason(self, study: Study, trial: Trial, others: Sequence[Trial]) -> str | None:
        """Why the trial should stop; None: it continues."""


@dataclasses.dataclass(frozen=True)
class NoPruning:
    """No pruning: every trial runs to its last step."""

    def stop_reason(self, study: Study, trial: Trial, others: Sequence[Trial]) -> str | None:
        """None: the trial continues."""
        return None


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving:
    """Asynchronous successive halving (ASHA). Li et al. 2020, sec. 3.

    At rung k, at min_resource · reduction_factor^k, a trial continues if it is among the best
    1/reduction_factor of the trials that have reached the rung. The first trial always continues.

    resource: steps, or joules of electricity of all attempts of the trial
    min_resource: of the lowest rung, in steps or joules
    reduction_factor: ratio of the resources of successive rungs
    """

    resource: Literal["steps", "joules"] = "steps"
    min_resource: Positive = 100
    reduction_factor: Annotated[int, Range(2)] = 3

    def stop_reason(self, study: Study, trial: Trial, others: Sequence[Trial]) -> str | None:
        """Why the trial should stop at a rung reached by its last report; None: it continues."""
        mine = self.rungs(study, trial)
        before = self.rungs(study, dataclasses.replace(trial, reports=trial.reports[:-1]))
        of_others = [self.rungs(study, other) for other in others if other.slot != trial.slot]
        for rung in range(len(before), len(mine)):
            at = f"{self.min_resource * self.reduction_factor**rung:g} {self.resource}"
            values = sorted(
                [rungs[rung] for rungs in of_others if len(rungs) > rung] + [mine[rung]]
            )
            if mine[rung] == math.inf:
                return f"not finite at {at}"
            if mine[rung] > values[max(len(values) // self.reduction_factor, 1) - 1]:
                return f"not among the best 1/{self.reduction_factor} of {len(values)} at {at}"
        return None

    def rungs(self, study: Study, trial: Trial) -> list[float]:
        """The cost of the trial at each rung that it has reached: of the first report at or beyond
        the rung. A report beyond several rungs counts for all of them."""
        found: list[float] = []
        for report in trial.reports:
            while self._resource(report) >= self.min_resource * self.reduction_factor ** len(found):
                found.append(study.cost(report[1]))
        return found

    def _resource(self, report: tuple[int, float, float]) -> float:
        return report[0] if self.resource == "steps" else report[2] * JOULES


@dataclasses.dataclass(frozen=True)
class MedianPruner:
    """Median stopping rule: stop if the best value is worse than the median of others at the step.
    Golovin et al. 2017, sec. 3.2.2.

    n_startup_trials: complete trials required before any is pruned
    n_warmup_steps: no trial is pruned before this step
    """

    n_startup_trials: Count = 5
    n_warmup_steps: Natural = 0

    def stop_reason(self, study: Study, trial: Trial, others: Sequence[Trial]) -> str | None:
        """Why the trial should stop; None: it continues."""
        ended = [one for one in others if one.state == "complete" and one.slot != trial.slot]
        if (
            not trial.reports
            or trial.reports[-1][0] < self.n_warmup_steps
            or len(ended) < self.n_startup_trials
        ):
            return None
        step = trial.reports[-1][0]
        theirs = sorted(cost for one in ended if (cost := self._at(study, one, step)) is not None)
        mine = min(study.cost(value) for _, value, _ in trial.reports)
        if not theirs:
            return None
        middle = theirs[(len(theirs) - 1) // 2] / 2 + theirs[len(theirs) // 2] / 2
        return f"worse than the median of {len(theirs)} at step {step}" if mine > middle else None

    def _at(self, study: Study, trial: Trial, step: int) -> float | None:
        """The cost last reported by `step`."""
        count = bisect.bisect_right([report[0] for report in trial.reports], step)
        return study.cost(trial.reports[count - 1][1]) if count else None
