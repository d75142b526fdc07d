"""Verdict of a study: reproduced, not reproduced or inconclusive, with its findings and cost."""

import dataclasses
import math
from typing import Any, Literal

from fxformer.claims.analysis import Analysis, ClaimFinding, Measurements
from fxformer.claims.study import ClaimStudy

ClaimVerdict = Literal["reproduced", "not reproduced", "inconclusive"]
CODES: dict[ClaimVerdict, int] = {"reproduced": 0, "not reproduced": 5, "inconclusive": 6}


@dataclasses.dataclass(frozen=True)
class ClaimResult:
    """What a study found.

    findings, controls: {name: finding} in the order of the study
    joules, seconds: of all runs, all attempts, and of measuring
    unfinished: {reason: number of cells} of cells without numbers
    quick: whether it is the quick variant
    missing: {name: numbers that an analysis or control lacks}; it is undecided then, for the runs
        that have a number are no random sample: a diverged run has none
    """

    study: ClaimStudy
    findings: dict[str, ClaimFinding]
    controls: dict[str, ClaimFinding]
    joules: float
    seconds: float
    unfinished: dict[str, int]
    quick: bool = False
    missing: dict[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, study: ClaimStudy, found: Measurements, **more: Any) -> "ClaimResult":
        """The findings of all analyses and controls."""
        missing: dict[str, int] = {}

        def judged(name: str, one: Analysis) -> ClaimFinding:
            finding = one.finding(found)
            if count := _missing(study, one, found):
                missing[name] = count
                finding = dataclasses.replace(finding, decision="undecided")
            return finding

        findings = {name: judged(name, one) for name, one in study.analyses.items()}
        controls = {name: judged(name, one) for name, one in study.controls.items()}
        return cls(study, findings, controls, missing=missing, **more)

    @property
    def verdict(self) -> ClaimVerdict:
        """Reproduced: every analysis holds and every control fails. Not reproduced: an analysis
        fails, or a control holds. Inconclusive: anything else."""
        found = {one.decision for one in self.findings.values()}
        controls = {one.decision for one in self.controls.values()}
        if "fails" in found or "holds" in controls:
            return "not reproduced"
        if found == {"holds"} and controls == {"fails"}:
            return "reproduced"
        return "inconclusive"

    @property
    def code(self) -> int:
        """Exit code of `fxformer reproduce`."""
        return CODES[self.verdict]

    @property
    def reasons(self) -> list[str]:
        """Why the claim is not reproduced, a sentence each; [] where it is."""
        said = []
        for name, one in self.findings.items():
            if one.decision == "fails":
                said.append(f"{name}: the interval lies outside {region(self.study, name)}")
            elif one.decision == "undecided":
                said.append(f"{name}: {self._undecided(name, one)} {region(self.study, name)}")
        for name, one in self.controls.items():
            if one.decision == "holds":
                said.append(f"control {name}: did not fail, so the study cannot tell the claim")
            elif one.decision == "undecided":
                why = self._undecided(name, one)
                said.append(f"control {name}: {why} {region(self.study, name)}")
        lost = self.unfinished.items()
        return said + [f"{count} runs without a number: {why}" for why, count in lost]

    def _undecided(self, name: str, one: ClaimFinding) -> str:
        if one.effect.n == 0:
            return "nothing was measured for"
        if count := self.missing.get(name):
            return f"{count} of its numbers are missing or not finite; expected"
        if one.effect.low is None:
            return "too few seeds for an interval; expected"
        return "the interval crosses an end of"


def _missing(study: ClaimStudy, one: Analysis, found: Measurements) -> int:
    """How many of the numbers that an analysis reads are missing or not finite."""
    levels = next(iter(study.levels.values()), [None]) if one.reads_levels else [one.at]
    numbers = [
        found.numbers.get(measure, {}).get((arm, level, seed), math.nan)
        for measure in one.measures
        for arm in one.arms
        for level in levels
        for seed in range(study.seeds)
    ]
    return sum(not math.isfinite(value) for value in numbers)


def region(study: ClaimStudy, name: str) -> str:
    """Region of an analysis or control: "≥ 0.3", "≤ 1", "[-0.6, -0.4]", "512"."""
    one = study.analyses.get(name) or study.controls[name]
    low, high = _end(one.above), _end(one.below)
    if low == high:
        return low
    if one.below is None:
        return f"≥ {low}"
    return f"≤ {high}" if one.above is None else f"[{low}, {high}]"


def _end(value: float | None) -> str:
    """An end of a region, whole numbers in full."""
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
