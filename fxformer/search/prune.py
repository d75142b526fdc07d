"""Which trials stop early: each pruner is a class, `judge` its whole interface.

A judgement is a pure function of what the trials have reported. Whoever asks, on whichever machine,
is told the same of the same reports.
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
    """Asked by a trial's own process after each evaluation but the last."""

    def judge(self, study: Study, trial: Trial, others: Sequence[Trial]) -> str | None:
        """Why the trial should stop, None: it goes on."""


@dataclasses.dataclass(frozen=True)
class NoPruning:
    """Every trial runs to its end."""

    def judge(self, study: Study, trial: Trial, others: Sequence[Trial]) -> str | None:
        """It goes on."""
        return None


@dataclasses.dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving (ASHA). Li et al. 2020, sec. 3.

    At each rung, first · factor^k of the resource, a trial goes on if it is among the best 1/factor
    of those that have come as far; alone at a rung it goes on.

    resource: steps, or joules: what the trial has drawn from the grid, all attempts together
    first: the lowest rung, in steps or joules
    factor: how much further the next one is
    """

    resource: Literal["steps", "joules"] = "steps"
    first: Positive = 100
    factor: Annotated[int, Range(2)] = 3

    def judge(self, study: Study, trial: Trial, others: Sequence[Trial]) -> str | None:
        """Why the trial should stop, None: it goes on. Its last report is the one that counts; it
        is judged at each rung that it came to with it."""
        mine = self.rungs(study, trial)
        before = self.rungs(study, dataclasses.replace(trial, reports=trial.reports[:-1]))
        there = [self.rungs(study, other) for other in others if other.slot != trial.slot]
        for rung in range(len(before), len(mine)):
            at = f"{self.first * self.factor**rung:g} {self.resource}"
            values = sorted([rungs[rung] for rungs in there if len(rungs) > rung] + [mine[rung]])
            if mine[rung] == math.inf:
                return f"not finite at {at}"
            if mine[rung] > values[max(len(values) // self.factor, 1) - 1]:
                return f"not among the best 1/{self.factor} of {len(values)} at {at}"
        return None

    def rungs(self, study: Study, trial: Trial) -> list[float]:
        """What the trial had to show when it came to each rung, as costs: the first report at or
        beyond it. A report beyond several rungs counts for all of them."""
        found: list[float] = []
        for report in trial.reports:
            while self._resource(report) >= self.first * self.factor ** len(found):
                found.append(study.cost(report[1]))
        return found

    def _resource(self, report: tuple[int, float, float]) -> float:
        return report[0] if self.resource == "steps" else report[2] * JOULES


@dataclasses.dataclass(frozen=True)
class Median:
    """Stop when the best so far is worse than the median of what others had at that step.
    Golovin et al. 2017, sec. 3.2.2.

    startup: so many trials must have ended first
    warmup: no trial stops before this step
    """

    startup: Count = 5
    warmup: Natural = 0

    def judge(self, study: Study, trial: Trial, others: Sequence[Trial]) -> str | None:
        """Why the trial should stop, None: it goes on."""
        ended = [one for one in others if one.state == "complete" and one.slot != trial.slot]
        if not trial.reports or trial.reports[-1][0] < self.warmup or len(ended) < self.startup:
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
        place = bisect.bisect_right([report[0] for report in trial.reports], step)
        return study.cost(trial.reports[place - 1][1]) if place else None
