"""Table of a suite's results: for a terminal and as Markdown."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from fxformer.suite.numbers import Number, SuiteScore
from fxformer.suite.results import Average, SuiteResult, TaskResult
from fxformer.track import formatting

INTERVALS = {
    "seeds": "95 % over seeds (Student's t)",
    "examples": "95 % over examples (bootstrap)",
}


@dataclasses.dataclass(frozen=True)
class TableRow:
    """A row of the table, as texts.

    task, metric: what the number is of; "" where it is that of the row above
    value: with its interval; best: the best that any model can expect
    published: of the columns of published models
    examples, energy, time: of the task, in its first row
    kind: "score", "also", "average" or "reason"
    """

    task: str
    metric: str
    value: str
    best: str = ""
    published: tuple[str, ...] = ()
    examples: str = ""
    energy: str = ""
    time: str = ""
    kind: str = "score"


def header(result: SuiteResult) -> list[str]:
    """Titles of the columns."""
    published = list(result.suite.published)
    best = ["best possible"] if _has_best(result) else []
    return ["task", "metric", result.model, *best, *published, "examples", "energy", "time"]


def cells(result: SuiteResult, row: TableRow) -> list[str]:
    """A row's cells in the order of `header`."""
    best = [row.best] if _has_best(result) else []
    published = row.published or ("",) * len(result.suite.published)
    first = [row.task, row.metric, row.value]
    return [*first, *best, *published, row.examples, row.energy, row.time]


def rows(result: SuiteResult) -> Iterator[TableRow]:
    """All rows: the numbers of each task, then the averages."""
    for task in result.tasks:
        yield from _task_rows(result, task)
    for one in result.averages:
        left = result.suite.averages[one.name]
        published = tuple(
            _plain(result.published_average(model, left)) for model in result.suite.published
        )
        yield TableRow(
            one.name,
            f"of {formatting.plural(len(one.tasks), 'task')}",
            estimate_text(one.estimate),
            published=published,
            energy=formatting.si(result.joules, "J") if result.joules else "",
            time=formatting.duration(result.seconds) if result.seconds else "",
            kind="average",
        )


def _task_rows(result: SuiteResult, task: TaskResult) -> Iterator[TableRow]:
    scale = result.suite.tasks[task.name].scale
    cost: dict[str, Any] = {
        "examples": f"{task.examples:,}" if task.examples else "",
        "energy": formatting.si(task.joules, "J") if task.joules else "",
        "time": formatting.duration(task.seconds) if task.seconds else "",
    }
    first = task.name
    for one in task.numbers:
        factor = scale if one.scored else 1.0
        best = "" if one.best is None else _digits(factor * one.best, one.scored)
        published = tuple(
            _plain(row.scores.get(task.name, {}).get(one.name)) if one.scored else ""
            for row in result.suite.published.values()
        )
        value = estimate_text(one.estimate.times(factor), one.scored)
        best += f" ({one.verdict})" if one.verdict else ""
        kind = "score" if one.scored else "also"
        yield TableRow(first, one.name, value, best, published, kind=kind, **cost)
        first, cost = "", {}
    if not task.numbers:
        yield TableRow(first, "", task.state, kind="reason", **cost)


def notes(result: SuiteResult) -> list[str]:
    """What a reader of the table must know, a sentence each."""
    said = []
    for task in result.tasks:
        if task.state != "complete":
            why = f": {task.reason}" if task.reason else ""
            said.append(f"{task.name}: {task.state}{why}")
        said += [f"{task.name}: {remark}" for remark in task.remarks]
    for one in result.averages:
        said += _average_notes(one)
    how = {n.estimate.by for task in result.tasks for n in task.numbers} - {None}
    if how:
        said.append(f"intervals: {', '.join(INTERVALS[one] for one in sorted(map(str, how)))}")
    verdicts = {n.verdict for task in result.tasks for n in task.numbers}
    if "better than possible" in verdicts:
        said.append(
            "better than possible: the interval lies beyond the best value that the noise of the "
            "labels allows; look for validation rows among the training rows"
        )
    said += [f"{model}: {row.source}" for model, row in result.suite.published.items()]
    said += [f"{name}: {text}" for name, text in signatures(result).items()]
    return said


def _average_notes(one: Average) -> list[str]:
    if not one.missing:
        return []
    total = len(one.tasks) + len(one.missing)
    return [
        f"{one.name}: over {len(one.tasks)} of {total} tasks, without {', '.join(one.missing)}: "
        "do not compare it with averages of all tasks"
    ]


def signatures(result: SuiteResult) -> dict[str, str]:
    """{metric: signature}; a metric with two of them is named with its task."""
    found: dict[str, dict[str, str]] = {}
    for task in result.tasks:
        for one in task.numbers:
            if one.signature:
                found.setdefault(_metric(one), {})[task.name] = one.signature
    named = {}
    for metric, by_task in found.items():
        if len(set(by_task.values())) == 1:
            named[metric] = next(iter(by_task.values()))
        else:
            named |= {f"{task} {metric}": one for task, one in by_task.items()}
    return named


def _metric(one: Number) -> str:
    return one.name.rpartition("/")[2]


def estimate_text(one: SuiteScore | None, scored: bool = True) -> str:
    """`84.1 [83.0, 85.2]`; one decimal for scores, four for losses; – without a number."""
    if one is None:
        return "–"
    text = _digits(one.value, scored)
    if one.low is not None and one.high is not None:
        text += f" [{_digits(one.low, scored)}, {_digits(one.high, scored)}]"
    return text


def _digits(value: float, scored: bool) -> str:
    return f"{value:.{1 if scored else 4}f}"


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _has_best(result: SuiteResult) -> bool:
    return any(one.best is not None for task in result.tasks for one in task.numbers)


def show(result: SuiteResult, console: Console) -> None:
    """Print the table and its notes."""
    table = Table(box=None, header_style="dim", padding=(0, 1))
    names = header(result)
    for name in names:
        left = name in names[:2]
        table.add_column(
            Text(formatting.safe(name)), justify="left" if left else "right", overflow="fold"
        )
    styles = {"average": "bold", "also": "dim", "reason": "yellow"}
    for row in rows(result):
        style = styles.get(row.kind, "")
        table.add_row(*(Text(formatting.safe(c), style=style) for c in cells(result, row)))
    lines = [Text(formatting.safe(one), style="dim") for one in notes(result)]
    console.print(Group(table, *lines))


def markdown(result: SuiteResult) -> str:
    """The table and its notes as Markdown."""
    names = header(result)
    lines = [f"# {result.suite.name}: {result.model}", ""]
    lines += [_line(names), _line(["---" if n < 2 else "---:" for n in range(len(names))])]
    for row in rows(result):
        bold = row.kind == "average"
        lines.append(_line([f"**{c}**" if bold and c else c for c in cells(result, row)]))
    lines += ["", *(f"- {_escaped(one)}" for one in notes(result))]
    return "\n".join(lines) + "\n"


def _line(values: list[str]) -> str:
    return f"| {' | '.join(_escaped(one) for one in values)} |"


def _escaped(text: str) -> str:
    return formatting.safe(text).replace("|", "\\|").replace("\n", " ")
