"""Analyses of a study: an effect with its interval, and the region in which a claim puts it.

An effect holds where its whole interval lies in the region, fails where the whole interval lies
outside, and is undecided elsewhere: with one seed, or where the interval crosses an end.
"""

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Literal

from fxformer.errors import UserError
from fxformer.metrics.confidence import CONFIDENCE, ConfidenceInterval
from fxformer.types import Range

Cell = tuple[str, float | None, int]  # arm, level, seed
Decision = Literal["holds", "fails", "undecided"]
Confidence = Annotated[float, Range(0.5, 1, open_low=True, open_high=True)]


@dataclasses.dataclass(frozen=True)
class Measurements:
    """{measure: {(arm, level, seed): number}} of the runs that have been measured."""

    numbers: Mapping[str, Mapping[Cell, float]]

    def by_seed(self, measure: str, arm: str, level: float | None = None) -> dict[int, float]:
        """{seed: number} of an arm at a level, ascending by seed."""
        found = self.numbers.get(measure, {})
        seeds = sorted(seed for own, at, seed in found if (own, at) == (arm, level))
        return {seed: found[arm, level, seed] for seed in seeds}

    def levels(self, measure: str, arm: str) -> list[float]:
        """Levels at which an arm has numbers, ascending."""
        found = {at for own, at, _ in self.numbers.get(measure, {}) if own == arm}
        return sorted(at for at in found if at is not None)


@dataclasses.dataclass(frozen=True)
class ClaimFinding:
    """What an analysis found.

    effect: with its interval; mean is NaN where an arm has no number
    decision: holds, fails or undecided
    about: what the effect is, in words
    """

    effect: ConfidenceInterval
    decision: Decision
    about: str

    @classmethod
    def empty(cls, about: str) -> "ClaimFinding":
        """Nothing has been measured."""
        return cls(ConfidenceInterval(math.nan, 0), "undecided", about)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis(abc.ABC):
    """Base of analyses.

    measure: name of a measure of the study
    above, below: ends of the region in which the effect must lie, which it includes; None: no end
    at: level of the study's key, where the study has levels
    published: the effect that the source prints
    confidence: of the interval
    unit: of the effect, in tables
    """

    measure: str
    above: float | None = None
    below: float | None = None
    at: float | None = None
    published: float | None = None
    confidence: Confidence = CONFIDENCE
    unit: str = ""

    def __post_init__(self) -> None:
        if self.above is None and self.below is None:
            raise UserError(
                f"{type(self).__name__}: give the region of the effect, above=, below= or both"
            )

    @property
    @abc.abstractmethod
    def arms(self) -> tuple[str, ...]:
        """Arms whose numbers it reads."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Measures whose numbers it reads."""
        return (self.measure,)

    @property
    def interval_confidence(self) -> float:
        """Confidence of the two-sided interval."""
        return self.confidence

    @abc.abstractmethod
    def finding(self, found: Measurements) -> ClaimFinding:
        """Effect, interval and decision."""

    @property
    def reads_levels(self) -> bool:
        """Whether it reads all levels of the study, not one."""
        return False

    def judged(self, effect: ConfidenceInterval, about: str) -> ClaimFinding:
        """The finding of an effect by the region."""
        return ClaimFinding(effect, decide(effect, self.above, self.below), about)

    def values(self, found: Measurements, arm: str) -> dict[int, float]:
        """{seed: finite number} of an arm."""
        own = found.by_seed(self.measure, arm, self.at)
        return {seed: value for seed, value in own.items() if math.isfinite(value)}


def decide(effect: ConfidenceInterval, above: float | None, below: float | None) -> Decision:
    """Whether an interval lies in the region [above, below], outside it, or across an end."""
    if effect.low is None or effect.high is None:
        return "undecided"
    if (above is None or effect.low >= above) and (below is None or effect.high <= below):
        return "holds"
    outside = (above is not None and effect.high < above) or (
        below is not None and effect.low > below
    )
    return "fails" if outside else "undecided"
