"""Results of a suite: numbers of the tasks' runs with intervals, scores, averages, cost."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fxformer.search import study_io
from fxformer.search.configurations import SEED
from fxformer.search.space import ARM
from fxformer.search.study import Study, Trial
from fxformer.suite.definition import Suite, SuiteTask
from fxformer.suite.numbers import Number, SuiteScore, TaskRun, number_of


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """What the runs of a task found.

    state: complete, partial (some seeds), left out, failed, running or waiting
    reason: why it is left out or failed, "" elsewhere
    numbers: in the order of the task's `metrics` and `also`
    score: `scale` times the mean of the task's metrics; None without a complete run
    by_seed: {seed: score}
    examples: rows that the score is computed from
    joules, kwh, gco2e, seconds: of all attempts at all runs
    runs: folders of the complete runs
    remarks: what a reader must know of the numbers
    """

    name: str
    about: str
    state: str
    reason: str
    numbers: tuple[Number, ...]
    score: SuiteScore | None
    by_seed: dict[int, float]
    examples: int | None
    joules: float
    kwh: float
    gco2e: float
    seconds: float
    runs: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Average:
    """A mean of scores over tasks.

    estimate: None where no task has a score
    tasks: those in the mean; missing: those of its definition that have no score
    """

    name: str
    estimate: SuiteScore | None
    tasks: tuple[str, ...]
    missing: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class SuiteResult:
    """Results of a suite for one model.

    model: its name; study: name of the search
    """

    suite: Suite
    model: str
    study: str
    tasks: tuple[TaskResult, ...]
    averages: tuple[Average, ...]

    @property
    def joules(self) -> float:
        """Energy of all tasks."""
        return sum(one.joules for one in self.tasks)

    @property
    def seconds(self) -> float:
        """Wall time of all runs, all phases."""
        return sum(one.seconds for one in self.tasks)

    def published_score(self, model: str, task: str) -> float | None:
        """The score of a published model; None where a metric of the task is not printed."""
        given = self.suite.published[model].scores.get(task) or {}
        found = [given.get(name) for name in self.suite.tasks[task].metrics]
        known = [one for one in found if one is not None]
        return sum(known) / len(known) if len(known) == len(found) else None

    def published_average(self, model: str, left_out: Iterable[str]) -> float | None:
        """Its average; None where it lacks the score of a task."""
        tasks = [one for one in self.suite.tasks if one not in set(left_out)]
        scores = [self.published_score(model, one) for one in tasks]
        known = [one for one in scores if one is not None]
        return sum(known) / len(known) if len(known) == len(scores) else None

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        suite = self.suite
        return {
            "suite": suite.name,
            "definition": suite.to_json(),
            "model": self.model,
            "study": self.study,
            "tasks": [
                dataclasses.asdict(one)
                | {"numbers": [dataclasses.asdict(n) | {"verdict": n.verdict} for n in one.numbers]}
                for one in self.tasks
            ],
            "averages": [dataclasses.asdict(one) for one in self.averages],
            "published": {
                model: {
                    "source": row.source,
                    "scores": {task: self.published_score(model, task) for task in row.scores},
                    "averages": {
                        name: self.published_average(model, left)
                        for name, left in suite.averages.items()
                    },
                }
                for model, row in suite.published.items()
            },
            "joules": self.joules,
            "seconds": self.seconds,
        }


def suite_result(
    suite: Suite,
    model: str,
    study: Study,
    evaluations: Mapping[tuple[int, str], Mapping[str, Any]] | None = None,
) -> SuiteResult:
    """The results so far.

    evaluations: {(slot, split): facts of an evaluation after training}
    """
    by_task: dict[str, list[Trial]] = {task: [] for task in suite.tasks}
    for trial in study.trials():
        arm = trial.params.get(ARM)
        if arm in by_task:
            running = trial.state == "running"
            by_task[arm].append(study_io.with_energy(study, trial) if running else trial)
    done = evaluations or {}
    tasks = []
    for name, task in suite.tasks.items():
        runs = [
            TaskRun(study, one, {split: f for (slot, split), f in done.items() if slot == one.slot})
            for one in by_task[name]
        ]
        tasks.append(task_result(name, task, runs, study.total // len(suite.tasks)))
    averages = tuple(average(name, left, tasks) for name, left in suite.averages.items())
    return SuiteResult(suite, model, study.name, tuple(tasks), averages)


def task_result(name: str, task: SuiteTask, runs: Sequence[TaskRun], planned: int) -> TaskResult:
    """The result of a task over its runs. planned: how many there will be"""
    complete = [one for one in runs if one.trial.state == "complete"]
    trials = [one.trial for one in runs]
    scores = {int(one.trial.params.get(SEED, 0)): task.score(one.numbers) for one in complete}
    by_seed = {seed: value for seed, value in scores.items() if value is not None}
    reasons = [one.reason for one in trials if one.state != "complete" and one.reason]
    remarks = [remark for one in complete for remark in one.remarks]
    lacking = [one for one in task.metrics if complete and one not in complete[0].numbers]
    if lacking:
        remarks.append(f"no score: {', '.join(lacking)} is not evaluated")
    numbers = [
        found
        for metric in (*task.metrics, *task.also)
        if (found := number_of(metric, metric in task.metrics, complete)) is not None
    ]
    return TaskResult(
        name=name,
        about=task.about,
        state=_state(trials, planned),
        reason="; ".join(dict.fromkeys(reasons)),
        numbers=tuple(numbers),
        score=_score(task, numbers, list(by_seed.values())),
        by_seed=by_seed,
        examples=complete[0].examples if complete else None,
        joules=sum(one.joules for one in trials) + _spent(runs, "joules"),
        kwh=sum(one.kwh for one in trials),
        gco2e=sum(one.gco2e for one in trials),
        seconds=sum(one.seconds for one in trials) + _spent(runs, "seconds"),
        runs=tuple(one.trial.run for one in complete if one.trial.run),
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _spent(runs: Sequence[TaskRun], what: str) -> float:
    """Joules or seconds of the evaluations after training."""
    return sum(facts.get(what) or 0.0 for run in runs for facts in run.evaluations.values())


def _state(trials: Sequence[Trial], planned: int) -> str:
    states = [one.status for one in trials]
    for state, name in (("skipped", "left out"), ("running", "running")):
        if state in states:
            return name
    if states.count("complete") >= planned:
        return "complete"
    if "complete" in states:
        return "partial"
    return states[0] if states else "waiting"


def _score(task: SuiteTask, numbers: Sequence[Number], scores: list[float]) -> SuiteScore | None:
    if not scores:
        return None
    primary = [one for one in numbers if one.scored]
    if len(scores) == 1 and len(primary) == 1:
        return primary[0].estimate.times(task.scale)
    return SuiteScore.over_seeds(scores)


def average(name: str, left_out: Sequence[str], tasks: Sequence[TaskResult]) -> Average:
    """The mean of the scores of all tasks but `left_out`, with the interval over seeds where each
    seed has the scores of all these tasks."""
    wanted = [one for one in tasks if one.name not in left_out]
    having = [one for one in wanted if one.score is not None and math.isfinite(one.score.value)]
    missing = tuple(one.name for one in wanted if one not in having)
    if not having:
        return Average(name, None, (), missing)
    names = tuple(one.name for one in having)
    seeds = set(having[0].by_seed)
    if all(set(one.by_seed) == seeds for one in having):
        sums = [sum(one.by_seed[seed] for one in having) / len(having) for seed in sorted(seeds)]
        return Average(name, SuiteScore.over_seeds(sums), names, missing)
    means = [one.score.value for one in having if one.score is not None]
    return Average(name, SuiteScore(sum(means) / len(means), seeds=0), names, missing)
