"""Ranking of configurations: trials that differ only in their seed are one configuration."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.search.study import Study, Trial

SEED = "seed"  # a key of the space that repeats a configuration


@dataclasses.dataclass(frozen=True)
class Configuration:
    """Trials with the same parameters except for the seed.

    rank: 1 for the best; None without a complete trial
    value: of the first objective, over the complete trials; None without one
    last: the best of the last reports of its trials; None without reports
    """

    params: dict[str, Any]
    trials: tuple[Trial, ...]
    value: ConfidenceInterval | None
    last: float | None = None
    rank: int | None = None

    @property
    def kwh(self) -> float:
        """Energy of all its trials."""
        return sum(trial.kwh for trial in self.trials)

    @property
    def state(self) -> str:
        """The state of its trial, or the counts of the states of its trials."""
        states = Counter(trial.status for trial in self.trials)
        if len(self.trials) == 1:
            return next(iter(states))
        return ", ".join(f"{number} {state}" for state, number in states.items())

    @property
    def reason(self) -> str:
        """Reasons of the trials that are not complete."""
        reasons = [trial.reason for trial in self.trials if trial.status != "complete"]
        return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def configurations(study: Study, trials: Sequence[Trial]) -> list[Configuration]:
    """All configurations that were started: complete ones ranked by the mean of the first
    objective, then pruned, unfinished and failed ones by slot."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.params and trial.status != "waiting":
            groups.setdefault(repr(sorted(_without_seed(trial).items())), []).append(trial)
    found = [_configuration(study, members) for members in groups.values()]
    ranked = sorted((one for one in found if one.value), key=lambda one: _rank_key(study, one))
    rest = [one for one in found if not one.value]
    numbered = [dataclasses.replace(one, rank=n) for n, one in enumerate(ranked, 1)]
    return numbered + sorted(rest, key=lambda one: (_order(one), one.trials[0].slot))


def _configuration(study: Study, trials: list[Trial]) -> Configuration:
    values = [trial.values[0] for trial in trials if trial.state == "complete" and trial.values]
    value = ConfidenceInterval.of(values) if values else None
    reported = [trial.reports[-1][1] for trial in trials if trial.reports]
    last = min(reported, key=study.cost, default=None)
    return Configuration(_without_seed(trials[0]), tuple(trials), value, last)


def _without_seed(trial: Trial) -> dict[str, Any]:
    return {key: value for key, value in trial.params.items() if key != SEED}


def _rank_key(study: Study, one: Configuration) -> tuple[float, int]:
    assert one.value is not None
    return study.cost(one.value.mean), one.trials[0].slot


def _order(one: Configuration) -> int:
    """Sort key: pruned before unfinished before failed."""
    states = {trial.status for trial in one.trials}
    return 0 if "pruned" in states else 2 if "failed" in states else 1


def progress(study: Study, trials: Sequence[Trial]) -> str:
    """Counts of trials by state: "27 of 30 complete, 2 failed, 1 pending"."""
    states = Counter("pending" if t.status == "waiting" else t.status for t in trials)
    rest = ("pruned", "failed", "running", "interrupted", "stopped", "skipped", "pending")
    parts = [f"{states['complete']} of {study.total} complete"]
    return ", ".join(parts + [f"{states[state]} {state}" for state in rest if states[state]])
