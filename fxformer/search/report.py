"""Report of a study: ranking, importance, Pareto front and cost; as JSON and CSV."""

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
from fxformer.search.configurations import SEED, Configuration, configurations, progress
from fxformer.search.cost import RESOLUTION, Cost, cost
from fxformer.search.importance import Importance, importances
from fxformer.search.optuna_convert import DIVERGED, distributions
from fxformer.search.pareto import pareto_front
from fxformer.search.study import Study, Trial
from fxformer.track.redact import Redactor


@dataclasses.dataclass(frozen=True)
class StudyReport:
    """Everything that `fxformer search STUDY` shows.

    configurations: ranked, see `configurations`
    points: (trial, value) of complete trials, and of pruned ones at their last report
    pareto: slots of the trials on the Pareto front of value and kWh, by ascending kWh
    best: arguments of the command that trains the best configuration; () before one is complete
    progress: counts by state, "27 of 30 complete, 2 failed, 1 pending"
    """

    study: Study
    trials: tuple[Trial, ...]
    configurations: list[Configuration]
    points: list[tuple[Trial, float]]
    pareto: list[int]
    cost: Cost
    best: tuple[str, ...]
    progress: str

    @functools.cached_property
    def importance(self) -> list[Importance] | str:
        """Importance of each key but the seed, the largest first; or why it cannot be computed."""
        return parameter_importance(self.study, self.trials)


def study_report(study: Study, resolution: int = RESOLUTION) -> StudyReport:
    """The report of a study, from the files of its trials. UserError for a bad resolution.

    resolution: values per interval of the grid that the cost is compared with
    """
    trials = [_with_current_energy(study, trial) for trial in study.trials()]
    ranked = configurations(study, trials)
    points = [(trial, value) for trial in trials if (value := _value(trial)) is not None]
    best = pareto_front(
        [trial.kwh for trial, _ in points], [study.cost(value) for _, value in points]
    )
    return StudyReport(
        study=study,
        trials=tuple(trials),
        configurations=ranked,
        points=points,
        pareto=[points[n][0].slot for n in best],
        cost=cost(study, trials, resolution),
        best=command(study, ranked[0].trials[0]) if ranked and ranked[0].rank else (),
        progress=progress(study, trials),
    )


def _with_current_energy(study: Study, trial: Trial) -> Trial:
    """A running trial with the energy used so far, which its file does not contain."""
    return study_io.with_energy(study, trial) if trial.state == "running" else trial


def command(study: Study, trial: Trial) -> tuple[str, ...]:
    """Arguments of the command that trains the configuration of a trial as a single run."""
    return ("fxformer", "train", *study.overrides, *trial.overrides)


def parameter_importance(study: Study, trials: Sequence[Trial]) -> list[Importance] | str:
    """Importance of the keys over complete, pruned and diverged trials, or why it is unknown.

    Pruned and diverged trials count as worse than all complete ones.
    """
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
    """The value of a complete or pruned trial; None for others and for NaN."""
    if trial.state not in ("complete", "pruned") or not trial.values:
        return None
    return trial.values[0] if math.isfinite(trial.values[0]) else None


def to_json(report: StudyReport) -> str:
    """The report as JSON text, secrets redacted."""
    body: dict[str, Any] = {
        "study": report.study.to_json(),
        "progress": report.progress,
        "configurations": [
            {
                "rank": one.rank,
                "params": one.params,
                "value": one.value and dataclasses.asdict(one.value),
                "kwh": one.kwh,
                "slots": [trial.slot for trial in one.trials],
                "state": one.state,
                "reason": one.reason or None,
                "command": command(report.study, one.trials[0]),
            }
            for one in report.configurations
        ],
        "importance": report.importance
        if isinstance(report.importance, str)
        else [dataclasses.asdict(one) for one in report.importance],
        "pareto": report.pareto,
        "cost": dataclasses.asdict(report.cost),
        "best": report.best,
        "trials": [trial.to_json() | {"status": trial.status} for trial in report.trials],
    }
    return Redactor().text(json.dumps(jsonl.encode(body), indent=1, ensure_ascii=False)) + "\n"


def to_csv(report: StudyReport) -> str:
    """CSV text with a row per started trial, by slot; a column per key, secrets redacted."""
    keys = [one.key for one in report.study.space]
    ranks = {trial.slot: one.rank for one in report.configurations for trial in one.trials}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [*report.study.objectives, "kwh", "joules", "gco2e", "seconds", "run", "reason"]
    writer.writerow(["slot", "rank", "state", *names, *keys])
    for trial in report.trials:
        if trial.params:
            values = [*trial.values, *[None] * len(report.study.objectives)]
            writer.writerow([
                trial.slot, ranks.get(trial.slot), trial.status,
                *values[: len(report.study.objectives)],
                trial.kwh, trial.joules, trial.gco2e, trial.seconds, trial.run, trial.reason,
                *(trial.params.get(key) for key in keys),
            ])  # fmt: skip
    return Redactor().text(text.getvalue())
