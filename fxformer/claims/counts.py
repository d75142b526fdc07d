"""Analyses of counts: share of runs beyond a threshold, numbers without sampling error."""

import dataclasses
from typing import Any, Literal

from fxformer.claims.analysis import Analysis, ClaimFinding, Decision, Measurements, decide
from fxformer.claims.intervals import clopper_pearson, wilson
from fxformer.metrics.confidence import ConfidenceInterval


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunProportion(Analysis):
    """Share of an arm's runs whose number is at least `threshold`.

    interval: "clopper_pearson", whose coverage is never below its confidence, or "wilson"
    """

    arm: str
    threshold: float
    interval: Literal["clopper_pearson", "wilson"] = "clopper_pearson"

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm,)

    def finding(self, found: Measurements) -> ClaimFinding:
        about = f"share of runs with {self.measure} ≥ {self.threshold:g}: {self.arm}"
        values = self.values(found, self.arm)
        if not values:
            return ClaimFinding.empty(about)
        hits = sum(value >= self.threshold for value in values.values())
        kinds: dict[str, Any] = {"clopper_pearson": clopper_pearson, "wilson": wilson}
        effect = kinds[self.interval](hits, len(values), self.confidence)
        return self.judged(effect, about)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactNumber(Analysis):
    """A number without sampling error: that of every seed must lie in the region.

    The effect is the mean, low and high the smallest and largest number. One outside is a failure.
    """

    arm: str

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm,)

    def finding(self, found: Measurements) -> ClaimFinding:
        values = list(self.values(found, self.arm).values())
        about = f"{self.measure}: {self.arm}"
        if not values:
            return ClaimFinding.empty(about)
        mean = sum(values) / len(values)
        effect = ConfidenceInterval(mean, len(values), min(values), max(values))
        decision: Decision = decide(effect, self.above, self.below)
        return ClaimFinding(effect, "fails" if decision == "undecided" else decision, about)
