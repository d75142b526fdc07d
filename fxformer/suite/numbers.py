"""Numbers of the runs of a suite's task: evaluations, and estimates over seeds."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.search.study import Study, Trial
from fxformer.track.run_reader import StoredRun

LOWER = ("loss", "nll", "perplexity")  # numbers without a metric of which lower ones are better


@dataclasses.dataclass(frozen=True)
class SuiteScore:
    """A number with its 95 % interval.

    by: what the interval is over: "seeds" (Student's t), "examples" (bootstrap), None: there is
        none
    seeds: number of runs
    """

    value: float
    low: float | None = None
    high: float | None = None
    by: str | None = None
    seeds: int = 1

    @classmethod
    def over_seeds(cls, values: Sequence[float]) -> "SuiteScore":
        """Mean of at least one number with the interval of Student's t."""
        found = ConfidenceInterval.of(values)
        by = None if found.low is None else "seeds"
        return cls(found.mean, found.low, found.high, by, found.n)

    def times(self, factor: float) -> "SuiteScore":
        """With all numbers multiplied by a positive factor."""
        low, high = (None if one is None else factor * one for one in (self.low, self.high))
        return dataclasses.replace(self, value=factor * self.value, low=low, high=high)


@dataclasses.dataclass(frozen=True)
class Number:
    """A number of an evaluation over the seeds of a task.

    signature: of its metric, "" of a loss; higher_is_better: its direction
    best: the best that any model can expect, where the data say it
    scored: whether the score of the task counts it
    """

    name: str
    estimate: SuiteScore
    signature: str
    higher_is_better: bool
    best: float | None
    scored: bool

    @property
    def verdict(self) -> str | None:
        """How the number stands to the best: reached, missed, or better than possible; None: no
        best value or no interval."""
        low, high = self.estimate.low, self.estimate.high
        if self.best is None or low is None or high is None:
            return None
        if low <= self.best <= high:
            return "reached"
        return "better than possible" if (low > self.best) == self.higher_is_better else "missed"


@dataclasses.dataclass(frozen=True)
class TaskRun:
    """Numbers of a finished run of a task, by their names in a suite."""

    study: Study
    trial: Trial
    evaluations: Mapping[str, Mapping[str, Any]]  # of splits other than "valid"

    @functools.cached_property
    def stored(self) -> StoredRun:
        """The run."""
        return StoredRun(self.study.runs / (self.trial.run or ""))

    @functools.cached_property
    def scores(self) -> dict[str, dict[str, Any]]:
        """{name: facts of a Score} of all evaluated splits at the end of the run."""
        own = self.stored.facts.get("evaluation") or {}
        found = dict((own.get("valid") or {}).get("scores") or {})
        for split, facts in {**own, **self.evaluations}.items():
            if split != "valid":
                found |= {f"{split}/{name}": one for name, one in facts["scores"].items()}
        return found

    @functools.cached_property
    def numbers(self) -> dict[str, float]:
        """{name: number} of the last evaluation: losses too."""
        lines = [line for line in self.stored.lines if line.get("split") == "valid"]
        last = dict(lines[-1]) if lines else {}
        return last | {name: one["value"] for name, one in self.scores.items()}

    @property
    def best(self) -> dict[str, float]:
        """The best values that any model can expect, of generated data."""
        return (self.stored.facts.get("data") or {}).get("best") or {}

    @property
    def examples(self) -> int | None:
        """Rows of the validation split."""
        own = self.stored.facts.get("evaluation") or {}
        data = self.stored.facts.get("data") or {}
        counted = (own.get("valid") or {}).get("examples")
        return counted or (data.get("valid") or {}).get("documents")

    @property
    def remarks(self) -> list[str]:
        """Remarks of all evaluations."""
        own = {**(self.stored.facts.get("evaluation") or {}), **self.evaluations}
        return [remark for facts in own.values() for remark in facts.get("remarks") or []]


def number_of(name: str, scored: bool, runs: Sequence[TaskRun]) -> Number | None:
    """A number over the complete runs; None where no run has it."""
    having = [one for one in runs if name in one.numbers]
    if not having:
        return None
    first = having[0]
    estimate = SuiteScore.over_seeds([one.numbers[name] for one in having])
    facts = first.scores.get(name)
    if len(having) == 1 and facts is not None and facts["low"] is not None:
        estimate = SuiteScore(facts["value"], facts["low"], facts["high"], "examples")
    signatures = {(one.scores.get(name) or {}).get("signature") or "" for one in having}
    if len(signatures) > 1:
        raise ValueError(f"{name}: runs of one task have the signatures {sorted(signatures)}")
    up = name not in LOWER if facts is None else facts["higher_is_better"]
    return Number(name, estimate, signatures.pop(), up, first.best.get(name), scored)
