"""Analyses of means over seeds: value, difference, ratio, order, equivalence."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

from fxformer.claims.analysis import Analysis, ClaimFinding, Decision, Measurements, decide
from fxformer.claims.intervals import welch
from fxformer.errors import UserError
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.types import NonNegative


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanValue(Analysis):
    """Mean of an arm over its seeds, with the interval of Student's t."""

    arm: str

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm,)

    def finding(self, found: Measurements) -> ClaimFinding:
        values, about = self.values(found, self.arm), f"{self.measure}: {self.arm}"
        if not values:
            return ClaimFinding.empty(about)
        return self.judged(ConfidenceInterval.of(list(values.values()), self.confidence), about)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanDifference(Analysis):
    """Mean of an arm minus mean of a baseline.

    interval: "welch" for independent runs (Welch 1947); "paired" for runs of the same seeds, whose
        differences are compared by Student's t
    """

    arm: str
    baseline: str
    interval: Literal["welch", "paired"] = "welch"

    @property
    def arms(self) -> tuple[str, ...]:
        return self.arm, self.baseline

    @property
    def about(self) -> str:
        """The effect in words."""
        return f"{self.measure}: {self.arm} − {self.baseline}"

    def finding(self, found: Measurements) -> ClaimFinding:
        own, other = (self.values(found, arm) for arm in self.arms)
        if not own or not other:
            return ClaimFinding.empty(self.about)
        effect = difference(own, other, self.interval, self.interval_confidence)
        return self.judged(effect, self.about)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Equivalence(MeanDifference):
    """Two one-sided tests that a difference of means lies within ± margin. Schuirmann 1987.

    Both tests at level 1 - confidence: the interval of confidence 1 - 2 (1 - confidence) must lie
    in the region. A large p-value of a test for a difference shows nothing of the kind.
    """

    margin: NonNegative

    def __post_init__(self) -> None:
        if self.above is not None or self.below is not None:
            raise UserError("Equivalence: its region is ± margin; leave above and below out")
        object.__setattr__(self, "above", -self.margin)
        object.__setattr__(self, "below", self.margin)

    @property
    def interval_confidence(self) -> float:
        return 2 * self.confidence - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanRatio(MeanDifference):
    """Geometric mean of an arm divided by that of a baseline: intervals of differences of
    logarithms. Of positive numbers only: with others there is no effect. 1 is no difference."""

    @property
    def about(self) -> str:
        return f"{self.measure}: {self.arm} / {self.baseline}"

    def finding(self, found: Measurements) -> ClaimFinding:
        values = [self.values(found, arm) for arm in self.arms]
        if not all(values) or any(one <= 0 for own in values for one in own.values()):
            return ClaimFinding.empty(self.about)
        logs = [{seed: math.log(one) for seed, one in own.items()} for own in values]
        effect = difference(logs[0], logs[1], self.interval, self.interval_confidence)
        low, high = (None if one is None else exp(one) for one in (effect.low, effect.high))
        return self.judged(ConfidenceInterval(exp(effect.mean), effect.n, low, high), self.about)


def exp(value: float) -> float:
    """e to a number; infinity where that is too large for a float."""
    return math.exp(value) if value < 709 else math.inf


def difference(
    first: Mapping[int, float],
    second: Mapping[int, float],
    interval: Literal["welch", "paired"],
    confidence: float,
) -> ConfidenceInterval:
    """Difference of the means of two arms {seed: number}; paired: over the seeds of both."""
    if interval == "welch":
        return welch(list(first.values()), list(second.values()), confidence)
    pairs = [first[seed] - second[seed] for seed in first if seed in second]
    if not pairs:
        return ConfidenceInterval(math.nan, 0)
    return ConfidenceInterval.of(pairs, confidence)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanOrder(Analysis):
    """Means of several arms increase by at least `above` from each to the next.

    The effect is the smallest step with its interval. All steps hold where each interval does, each
    at its own level (an intersection-union test, Berger 1982); the order fails where a step does
    with the confidence shared among the steps (Bonferroni).
    """

    order: list[str]
    above: float | None = 0.0
    interval: Literal["welch", "paired"] = "welch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.order) < 2 or self.below is not None or self.above is None:
            raise UserError("MeanOrder: give order= at least two arms, and above= alone")

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.order)

    def finding(self, found: Measurements) -> ClaimFinding:
        about = f"{self.measure}: smallest step of {' < '.join(self.order)}"
        groups = [self.values(found, arm) for arm in self.order]
        if not all(groups):
            return ClaimFinding.empty(about)
        shared = 1 - (1 - self.confidence) / (len(groups) - 1)
        steps, strict = (
            [
                difference(b, a, self.interval, level)
                for a, b in zip(groups[:-1], groups[1:], strict=True)
            ]
            for level in (self.confidence, shared)
        )
        each = {decide(one, self.above, None) for one in steps}
        smallest = min(steps, key=lambda one: one.mean)
        decision: Decision = "holds" if each == {"holds"} else "undecided"
        if any(decide(one, self.above, None) == "fails" for one in strict):
            decision = "fails"
        return ClaimFinding(smallest, decision, about)
