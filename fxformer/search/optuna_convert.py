"""Conversion of studies and trials to Optuna, for its samplers, storages and dashboard."""

import datetime
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from fxformer.search.study import Dimension, Study, Trial

if TYPE_CHECKING:
    import optuna

DIVERGED = 3  # exit code


def distributions(space: Sequence[Dimension]) -> dict[str, "optuna.distributions.BaseDistribution"]:
    """{key: Optuna distribution} of a space."""
    return {one.key: _distribution(one) for one in space}


def _distribution(one: Dimension) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions

    if one.kind == "choice":
        return distributions.CategoricalDistribution(tuple(dict.fromkeys(one.choices)))
    kinds = {"integer": distributions.IntDistribution, "interval": distributions.FloatDistribution}
    return kinds[one.kind](one.low, one.high, log=one.log)


def directions(study: Study) -> list[Literal["minimize", "maximize"]]:
    """ "minimize" or "maximize" for each objective."""
    return ["maximize" if name in study.maximize else "minimize" for name in study.objectives]


def frozen(study: Study, trial: Trial, number: int = 0) -> "optuna.trial.FrozenTrial":
    """A trial as an Optuna FrozenTrial; its parameters must be drawn.

    Resumable trials become RUNNING. Diverged trials become COMPLETE with an infinitely bad value,
    so that samplers avoid them.
    """
    from optuna.trial import FrozenTrial, TrialState

    state = {
        "complete": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
        "skipped": TrialState.FAIL,
    }.get(trial.state, TrialState.RUNNING)
    values: list[float] | None = None
    if trial.state == "complete":
        values = [_number(study, value, n) for n, value in enumerate(trial.values)]
    elif trial.state == "failed" and trial.code == DIVERGED:
        state = TrialState.COMPLETE
        values = [_worst(study, n) for n in range(len(study.objectives))]
    several = len(study.objectives) > 1
    return FrozenTrial(
        number=number,
        trial_id=-1,
        state=state,
        value=None,
        values=values,
        datetime_start=_time(trial.started),
        datetime_complete=None if state is TrialState.RUNNING else _time(trial.ended),
        params=dict(trial.params),
        distributions=distributions(study.space),
        user_attrs=attributes(trial),
        system_attrs={},
        intermediate_values={} if several else {s: _number(study, v) for s, v, _ in trial.reports},
    )


def attributes(trial: Trial) -> dict[str, Any]:
    """User attributes: slot, run, energy and outcome of a trial."""
    names = ("slot", "attempts", "run", "kwh", "joules", "seconds", "reason", "worker")
    return {name: getattr(trial, name) for name in names} | {"status": trial.state}


def in_memory_study(
    study: Study, trials: Sequence[Trial], sampler: "optuna.samplers.BaseSampler | None" = None
) -> "optuna.Study":
    """An Optuna study of the trials, in memory."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    converted = optuna.create_study(directions=directions(study), sampler=sampler)
    drawn = [trial for trial in trials if trial.params]
    converted.add_trials([frozen(study, trial, n) for n, trial in enumerate(drawn)])
    return converted


def _number(study: Study, value: float, objective: int = 0) -> float:
    return _worst(study, objective) if math.isnan(value) else value


def _worst(study: Study, objective: int) -> float:
    return -math.inf if study.objectives[objective] in study.maximize else math.inf


def _time(iso: str | None) -> datetime.datetime:
    """A time for Optuna: naive and local; now where unknown."""
    if iso is None:
        return datetime.datetime.now()
    return datetime.datetime.fromisoformat(iso).astimezone().replace(tzinfo=None)
