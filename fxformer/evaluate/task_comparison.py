"""Runs of labelled tasks side by side: scores with intervals, over seeds where only they differ."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxformer import jsonl
from fxformer.errors import UserError
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.metrics.results import number_text
from fxformer.track import formatting
from fxformer.track.evaluations import (
    ScoreColumn,
    StoredEvaluation,
    evaluations_of,
    score_columns,
)
from fxformer.track.mean_table import NO_SETTING
from fxformer.track.run_reader import StoredRun, name_of


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number with its interval.

    value: of one run, or the mean over seeds
    low, high: bootstrap over examples of one run, Student's t over seeds; None: there is none
    n: number of runs
    """

    value: float
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        return number_text(self.value, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class SeedGroup:
    """Runs that differ in their seed only.

    runs: in the order given; name: what to call them
    cells: {key of a column: number}; a column that one of the runs lacks has none
    remarks: of all evaluations, with the runs where not all of them have it
    """

    name: str
    runs: list[StoredRun]
    cells: dict[str, Cell]
    remarks: list[str]


@dataclasses.dataclass(frozen=True)
class TaskComparison:
    """The groups of the runs, and the columns of their scores."""

    columns: list[ScoreColumn]
    groups: list[SeedGroup]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "columns": [dataclasses.asdict(one) | {"key": one.key} for one in self.columns],
            "groups": [
                {
                    "name": one.name,
                    "runs": [run.id for run in one.runs],
                    "seeds": [run.config.get("seed") for run in one.runs],
                    "scores": {k: dataclasses.asdict(cell) for k, cell in one.cells.items()},
                    "remarks": one.remarks,
                }
                for one in self.groups
            ],
        }


def are_tasks(runs: Sequence[StoredRun]) -> bool:
    """Whether all runs are of labelled tasks. UserError where only some are."""
    tasks = [run.id for run in runs if run.config.get("task")]
    if tasks and len(tasks) < len(runs):
        other = next(run.id for run in runs if run.id not in tasks)
        raise UserError(
            f"{tasks[0]} was trained on labelled rows and {other} was not: compare runs of tasks, "
            "or language models"
        )
    return bool(tasks)


def compare_tasks(runs: Sequence[StoredRun]) -> TaskComparison:
    """Scores of runs as their last evaluations stored them. UserError for a run without any."""
    evaluated: dict[str, dict[str, StoredEvaluation]] = {}
    for run in runs:
        evaluated[run.id] = evaluations_of(run.facts)
        if not evaluated[run.id]:
            raise UserError(
                f"{run.id} ({run.status}) has no stored evaluation: it is written when a run ends; "
                f"continue it with fxformer train resume={run.id}"
            )
    columns = score_columns(evaluated.values())
    members: dict[str, list[StoredRun]] = {}
    for run in dict(zip(evaluated, runs, strict=True)).values():
        members.setdefault(setting(run), []).append(run)
    return TaskComparison(columns, [_group(some, columns, evaluated) for some in members.values()])


def setting(run: StoredRun) -> str:
    """All that two runs of other seeds have in common: config, data and tokenizer, as text."""
    config = {k: v for k, v in run.config.items() if k not in NO_SETTING}
    data = run.facts.get("data") or {}
    known = [data.get("corpus_hash"), data.get("tokenizer_hash")]
    return json.dumps(jsonl.encode([config, known]), sort_keys=True, default=str)


def _group(
    runs: list[StoredRun],
    columns: Sequence[ScoreColumn],
    evaluated: Mapping[str, Mapping[str, StoredEvaluation]],
) -> SeedGroup:
    cells = {}
    for column in columns:
        scores = [column.score(evaluated[run.id]) for run in runs]
        known = [score for score in scores if score is not None]
        if len(known) < len(runs):
            continue
        if len(known) == 1:
            cells[column.key] = Cell(known[0].value, known[0].low, known[0].high, 1)
            continue
        mean = ConfidenceInterval.of([score.value for score in known])
        cells[column.key] = Cell(mean.mean, mean.low, mean.high, mean.n)
    said: dict[str, list[tuple[str, str]]] = {}
    for run in runs:
        for split, one in evaluated[run.id].items():
            for remark in one.remarks:
                said.setdefault(remark, []).append((split, run.id))
    remarks = []
    for remark, places in said.items():
        splits, of = (list(dict.fromkeys(some)) for some in zip(*places, strict=True))
        which = "" if len(of) == len(runs) else f" ({', '.join(of)})"
        remarks.append(f"{', '.join(splits)}: {remark}{which}")
    name = name_of(runs[0].id)
    return SeedGroup(name if len(runs) == 1 else f"{name}, {len(runs)} seeds", runs, cells, remarks)


def show(found: TaskComparison, console: Console) -> None:
    """A table with whichever are more, groups or scores, down its side; what the intervals are."""
    names, titles = [one.name for one in found.groups], [one.title for one in found.columns]
    cells = [
        [str(group.cells.get(column.key, "–")) for column in found.columns]
        for group in found.groups
    ]
    across, down, corner = titles, names, "run"
    if len(titles) > len(names):
        across, down, corner = names, titles, "score"
        cells = [list(row) for row in zip(*cells, strict=True)]
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column(corner, overflow="fold")
    for one in across:
        table.add_column(Text(formatting.safe(one)), justify="right")
    for name, row in zip(down, cells, strict=True):
        table.add_row(*(Text(formatting.safe(one)) for one in (name, *row)))
    console.print(table)
    counts = {len(group.runs) for group in found.groups}
    kinds = ["one run: 95 % bootstrap interval over examples"] if 1 in counts else []
    kinds += ["several seeds: mean and 95 % interval of Student's t"] if max(counts) > 1 else []
    notes = [f"{'; '.join(kinds)}."]
    for group in found.groups:
        notes += [f"{group.name}: {remark}" for remark in group.remarks]
    for note in notes:
        console.print(Text(formatting.safe(note), style="dim"))
