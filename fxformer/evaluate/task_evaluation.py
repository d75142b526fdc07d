"""Evaluation of a labelled task on demand: every metric of a split with its bootstrap interval."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import jax
import numpy as np

from fxformer.batch import Batch
from fxformer.data.corpus import Prepared
from fxformer.data.labelled.rows import Row
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.evaluate.task_models import TaskModel, open_task_model
from fxformer.flops.training import tokens_read
from fxformer.inference.loaded_run import LoadedRun
from fxformer.inference.pipelines.cost import charged, open_meter
from fxformer.metrics.results import MetricResults, Score
from fxformer.task.base import Task
from fxformer.task.corpus import TaskCorpus
from fxformer.task.label_matching import match_labels
from fxformer.task.objective import TaskObjective
from fxformer.task.seq2seq import ConditionalGeneration
from fxformer.task.task_split import TaskSplit
from fxformer.train.evaluation import evaluate_batches
from fxformer.train.generated_texts import SourceTexts, decoding_settings
from fxformer.train.state import bind
from fxformer.train.step import make_eval


@dataclasses.dataclass(frozen=True)
class TaskEvaluation:
    """What an evaluation of a labelled task found.

    model, step: name of the run or folder; step of the weights, None of a published model
    task: name of its class; split: what was evaluated, in words
    averages: loss, nll and the like over all labels
    results: scores with intervals, remarks, and the statistics that they are computed from
    remarks: what a reader must know: how labels were matched, a collapsed class, classes in another
        order, rows that are left out
    rows: of the split; skipped: of them that were left out, by reason; truncated: cut ones
    tokens: that the model read, without padding
    joules, sigma, provenance: energy of the evaluation and how it was measured; seconds: its time
    """

    model: str
    step: int | None
    task: str
    split: str
    averages: dict[str, float]
    results: MetricResults
    remarks: tuple[str, ...]
    rows: int
    skipped: dict[str, int]
    truncated: int
    tokens: int
    joules: float
    sigma: float
    provenance: str
    seconds: float

    @property
    def examples(self) -> int:
        """Number of examples that the metrics count."""
        return self.results.examples

    @property
    def scores(self) -> dict[str, Score]:
        """{name: number with its bootstrap interval, direction and signature} of all metrics."""
        return self.results.scores

    def facts(self) -> dict[str, Any]:
        """Everything for JSON."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain.pop("results")
        scores = {name: score.facts() for name, score in self.scores.items()}
        return plain | {
            "remarks": list(self.remarks), "examples": self.examples, "scores": scores,
        }  # fmt: skip


def evaluate_task(
    what: str | Path | LoadedRun,
    split: Literal["valid", "test"] | None = None,
    *,
    data: Mapping[str, Any] | None = None,
    metrics: Sequence[str] = (),
    task: str | None = None,
    step: int | Literal["best"] | None = None,
    runs: str | Path = "runs",
    meter: Meter | None = None,
) -> TaskEvaluation:
    """Evaluate a run, or a Hugging Face folder with a task head, on labelled rows.

    what: a run (its folder, id, "last", or opened), a folder with config.json, or a hub id
    split: of the run's own data; None: "test" where it has one, else "valid". Must be None with
        other files
    data: options of data=labelled by name, over those of the run: {"files": "test.csv", "columns":
        {"text": "sentence"}}. With `files` or `path` all rows of these are evaluated
    metrics: options of conf/metric besides the metrics of the task, or in the place of one that
        gives a number of the same name
    task: option of conf/task for a published model whose head does not say it
    step: of the run's checkpoint; "best": by trainer.metric; None: the last
    meter: what measures the energy; None: one that is opened for this call

    Labels are matched with the model's class names (task/label_matching.py). Raises UserError for
    a model without a task, rows that do not fit it, and a run whose data have changed.
    """
    data = dict(data or {})
    opened = open_task_model(what, data=data, metrics=metrics, task=task, step=step, runs=runs)
    rows, name = _rows(opened, split, data)
    rows, notes = _matched(opened, rows)
    given, called = meter or open_meter(), split or "test"
    try:
        with charged(given, "evaluate") as spent:
            averages, results, tokens = _evaluated(opened, rows, called)
        used = given.own().by("phase")["evaluate"]
    finally:
        if meter is None:
            given.close()
    skipped = dict(opened.corpus.skipped[called])
    truncated = opened.corpus.statistics[called].truncated
    notes += [f"{n} of {len(rows)} rows are left out: {why}" for why, n in skipped.items()]
    return TaskEvaluation(
        opened.name,
        opened.step,
        type(opened.task).__name__,
        name,
        averages,
        results,
        (*notes, *results.remarks),
        len(rows),
        skipped,
        truncated,
        tokens,
        spent.joules,
        used.sigma,
        used.provenance,
        spent.seconds,
    )


def _rows(opened: TaskModel, split: str | None, data: Mapping[str, Any]) -> tuple[list[Row], str]:
    """The rows to evaluate, and what they are in words."""
    corpus, run = opened.corpus, opened.run
    if "files" in data or "path" in data:
        if split is not None:
            raise UserError(
                f"split={split} names rows of the run's own data; data.files are evaluated whole"
            )
        return cast(
            TaskCorpus, corpus
        ).all_rows(), f"all rows of {data.get('files') or data['path']}"
    if run is None:
        raise UserError(
            f"{opened.name} is a published model, which has no data of its own: give data.files="
        )
    if corpus.fingerprint() != run.facts.get("data", {}).get("corpus_hash"):
        raise UserError(
            f"the data of {run.id} have changed since it was trained, so its splits may hold rows "
            "that it has learned; give the rows to evaluate as data.files="
        )
    rows = corpus.open_rows()
    chosen = split or ("test" if "test" in rows else "valid")
    if chosen not in rows:
        raise UserError(
            f"{run.id} has no {chosen} split, it has {', '.join(rows)}; give data.files="
        )
    return rows[chosen], f"the {chosen} split of {run.id}"


def _matched(opened: TaskModel, rows: list[Row]) -> tuple[list[Row], list[str]]:
    """The rows with the model's class names, and how they were matched."""
    role, names = opened.task.label_role, getattr(opened.task, "labels", None)
    if role is None or names is None:
        return rows, []
    match = match_labels(rows, names, role)
    return match.applied(rows, role), [match.remark] if match.remark else []


def _evaluated(
    opened: TaskModel, rows: Sequence[Row], split: str
) -> tuple[dict[str, float], MetricResults, int]:
    """(averages, results, tokens read) of rows as a split of this name."""
    corpus, objective = opened.corpus, opened.objective
    opened.task.check_rows({split: rows})
    length = objective.row_length(corpus.length)
    architecture = objective.model.architecture
    packed = corpus.split_of(split, rows, corpus.encoder(opened.tokenizer, length, architecture))
    data = Prepared(opened.tokenizer, {split: packed}, {})
    params = jax.device_put(opened.params)
    outputs: list[tuple[Any, np.ndarray]] = []
    counted = [0]

    def batches() -> Iterator[Batch]:
        ordered = data.in_order(split, corpus.batch)
        with data.loader(ordered, objective.corrupt, workers=corpus.workers) as loader:
            for _, batch in loader:
                counted[0] += tokens_read(batch)
                yield batch

    def observe(batch: Batch, values: Any) -> None:
        outputs.append((batch.labels, np.asarray(values)))

    evaluate = jax.jit(make_eval(opened.graphdef, precision=opened.precision))
    averages = evaluate_batches(evaluate, params, batches(), observe=observe)
    if isinstance(opened.task, ConditionalGeneration):
        results = _texts(opened, packed).judged(params)
    else:  # not objective.results, whose task lacks the further metrics
        by_feature = cast(TaskObjective, objective).outputs_by_feature(outputs)
        results = cast(Task, opened.task).results(by_feature, packed.features, packed.read)
    return averages, results, counted[0]


def _texts(opened: TaskModel, packed: TaskSplit) -> SourceTexts:
    """What generates the texts of a task that writes them."""
    task = cast(ConditionalGeneration, opened.task)
    with_params: Callable[[Any], Any] = functools.partial(bind, opened.graphdef)
    settings = decoding_settings(task, opened.objective)
    return SourceTexts(task, packed, opened.tokenizer, settings, with_params, opened.corpus.batch)
