"""What was tried, the best first: trials that differ in nothing but their seed are one setting."""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from fxformer.search.study import Study, Trial

SEED = "seed"  # a key of the space that makes repeats, no choice
SURE = 0.95  # of every interval over seeds


@dataclasses.dataclass(frozen=True)
class Interval:
    """mean of n numbers; low, high: 95 % of Student's t about it, None where n < 2."""

    mean: float
    n: int
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Interval":
        """The mean of at least one number, and how well these tell it if they are normal."""
        each = np.asarray(numbers, np.float64)
        mean, n = float(each.mean()), len(each)
        if n < 2 or not np.isfinite(each).all():
            return cls(mean, n)
        reach = float(special.stdtrit(n - 1, (1 + SURE) / 2) * each.std(ddof=1) / math.sqrt(n))
        return cls(mean, n, mean - reach, mean + reach)


@dataclasses.dataclass(frozen=True)
class Setting:
    """Trials with the same parameters, seeds apart.

    rank: 1 for the best; None unless one of them is complete
    value: over the complete ones; None where there is none
    """

    params: dict[str, Any]
    trials: tuple[Trial, ...]
    value: Interval | None
    rank: int | None = None

    @property
    def kwh(self) -> float:
        """Of all of them."""
        return sum(trial.kwh for trial in self.trials)

    @property
    def last(self) -> float | None:
        """What a setting without a complete trial had come to: the lowest of its last reports."""
        found = [trial.reports[-1][1] for trial in self.trials if trial.reports]
        return min(found, default=None)

    @property
    def state(self) -> str:
        """In words; of several trials with their number."""
        states = Counter(trial.status for trial in self.trials)
        if len(self.trials) == 1:
            return next(iter(states))
        return ", ".join(f"{number} {state}" for state, number in states.items())

    @property
    def reason(self) -> str:
        """Why those are so that are not complete."""
        told = [trial.reason for trial in self.trials if trial.status != "complete"]
        return "; ".join(dict.fromkeys(reason for reason in told if reason))


def settings(study: Study, trials: Sequence[Trial]) -> list[Setting]:
    """All settings that were begun: complete ones by the first objective's mean, the best first,
    then pruned, failed and unfinished ones by slot."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.params and trial.status != "waiting":
            groups.setdefault(repr(sorted(_without_seed(trial).items())), []).append(trial)
    found = [_setting(some) for some in groups.values()]
    ranked = sorted((one for one in found if one.value), key=lambda one: _place(study, one))
    rest = [one for one in found if not one.value]
    numbered = [dataclasses.replace(one, rank=n) for n, one in enumerate(ranked, 1)]
    return numbered + sorted(rest, key=lambda one: (_order(one), one.trials[0].slot))


def _setting(some: list[Trial]) -> Setting:
    values = [trial.value for trial in some if trial.state == "complete" and trial.values]
    return Setting(_without_seed(some[0]), tuple(some), Interval.of(values) if values else None)


def _without_seed(trial: Trial) -> dict[str, Any]:
    return {key: value for key, value in trial.params.items() if key != SEED}


def _place(study: Study, one: Setting) -> tuple[float, int]:
    return study.cost(one.value.mean), one.trials[0].slot


def _order(one: Setting) -> int:
    """Pruned before unfinished before failed."""
    states = {trial.status for trial in one.trials}
    return 0 if "pruned" in states else 2 if "failed" in states else 1


def progress(study: Study, trials: Sequence[Trial]) -> str:
    """27 of 30 complete, 2 failed, 1 pending."""
    states = Counter("pending" if t.status == "waiting" else t.status for t in trials)
    rest = ("pruned", "failed", "running", "interrupted", "stopped", "skipped", "pending")
    words = [f"{states['complete']} of {study.total} complete"]
    return ", ".join(words + [f"{states[state]} {state}" for state in rest if states[state]])
