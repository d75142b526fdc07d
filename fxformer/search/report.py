"""All that is told of a study: on a terminal, as JSON, as CSV, in the dashboard."""

import csv
import dataclasses
import functools
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from fxformer import jsonl
from fxformer.errors import UserError
from fxformer.search import study_io
from fxformer.search.configurations import SEED, Setting, progress, settings
from fxformer.search.cost import RESOLUTION, Cost, cost
from fxformer.search.importance import Importance, importances
from fxformer.search.optuna_convert import DIVERGED, distributions
from fxformer.search.pareto import front
from fxformer.search.study import Study, Trial
from fxformer.track.redact import Redactor


@dataclasses.dataclass(frozen=True)
class Account:
    """points: (trial, its value) of complete trials and pruned ones, where these had come to
    front: slots of those that no other beats in both value and kwh, the cheapest first
    best: the command that trains the best setting again, word by word; () before there is one
    progress: 27 of 30 complete, 2 failed, 1 pending
    """

    study: Study
    trials: tuple[Trial, ...]
    settings: list[Setting]
    points: list[tuple[Trial, float]]
    front: list[int]
    cost: Cost
    best: tuple[str, ...]
    progress: str

    @functools.cached_property
    def importance(self) -> list[Importance] | str:
        """Of each key but the seed, the largest first; or the sentence why there is none."""
        return importance(self.study, self.trials)


def account(study: Study, resolution: int = RESOLUTION) -> Account:
    """Read a study's trials and judge them. UserError for a bad resolution."""
    trials = [_charged(study, trial) for trial in study.trials()]
    ranked = settings(study, trials)
    points = [(trial, value) for trial in trials if (value := _value(trial)) is not None]
    best = front([trial.kwh for trial, _ in points], [study.cost(value) for _, value in points])
    return Account(
        study=study,
        trials=tuple(trials),
        settings=ranked,
        points=points,
        front=[points[n][0].slot for n in best],
        cost=cost(study, trials, resolution),
        best=command(study, ranked[0].trials[0]) if ranked and ranked[0].rank else (),
        progress=progress(study, trials),
    )


def _charged(study: Study, trial: Trial) -> Trial:
    """With what it has used by now: if its worker was killed nobody has written it down."""
    return study_io.charged(study, trial) if trial.state == "running" else trial


def command(study: Study, trial: Trial) -> tuple[str, ...]:
    """The words that train a trial's setting again, in a run of its own."""
    return ("fxformer", "train", *study.overrides, *trial.overrides)


def importance(study: Study, trials: Sequence[Trial]) -> list[Importance] | str:
    """Of all trials that ended of themselves: pruned and diverged ones are worse than complete
    ones. Or why it cannot be told."""
    keys = [one for one in study.space if one.key != SEED]
    params, costs = [], []
    for trial in trials:
        diverged = trial.state == "failed" and trial.code == DIVERGED
        if trial.params and (trial.state in ("complete", "pruned") or diverged):
            params.append({one.key: trial.params[one.key] for one in keys})
            complete = trial.state == "complete" and trial.values
            costs.append(study.cost(trial.values[0]) if complete else math.inf)
    worst = max((one for one in costs if math.isfinite(one)), default=0.0)
    costs = [one if math.isfinite(one) else worst + 1 for one in costs]
    try:
        return importances(distributions(keys), params, costs)
    except UserError as error:
        return str(error)


def _value(trial: Trial) -> float | None:
    """Where a trial that was completed or pruned had come to; None for others and for NaN."""
    if trial.state not in ("complete", "pruned") or not trial.values:
        return None
    return trial.values[0] if math.isfinite(trial.values[0]) else None


def to_json(told: Account) -> str:
    """Everything, as text."""
    body: dict[str, Any] = {
        "study": told.study.to_json(),
        "progress": told.progress,
        "settings": [
            {
                "rank": one.rank,
                "params": one.params,
                "value": one.value and dataclasses.asdict(one.value),
                "kwh": one.kwh,
                "slots": [trial.slot for trial in one.trials],
                "state": one.state,
                "reason": one.reason or None,
                "command": command(told.study, one.trials[0]),
            }
            for one in told.settings
        ],
        "importance": told.importance
        if isinstance(told.importance, str)
        else [dataclasses.asdict(one) for one in told.importance],
        "front": told.front,
        "cost": dataclasses.asdict(told.cost),
        "best": told.best,
        "trials": [trial.to_json() | {"status": trial.status} for trial in told.trials],
    }
    return Redactor().text(json.dumps(jsonl.encode(body), indent=1, ensure_ascii=False)) + "\n"


def to_csv(told: Account) -> str:
    """A row for each trial that was begun, by slot; parameters under their keys."""
    keys = [one.key for one in told.study.space]
    ranks = {trial.slot: one.rank for one in told.settings for trial in one.trials}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [*told.study.objectives, "kwh", "joules", "gco2e", "seconds", "run", "reason"]
    writer.writerow(["slot", "rank", "state", *names, *keys])
    for trial in told.trials:
        if trial.params:
            values = [*trial.values, *[None] * len(told.study.objectives)]
            writer.writerow([
                trial.slot, ranks.get(trial.slot), trial.status,
                *values[: len(told.study.objectives)],
                trial.kwh, trial.joules, trial.gco2e, trial.seconds, trial.run, trial.reason,
                *(trial.params.get(key) for key in keys),
            ])  # fmt: skip
    return Redactor().text(text.getvalue())
