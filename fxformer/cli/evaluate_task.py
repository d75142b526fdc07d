"""`fxformer evaluate MODEL`: a fine-tuned model on rows of its task, as a table or JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxformer import jsonl
from fxformer.cli.evaluate_suite import value_of
from fxformer.config.type_check import nearest
from fxformer.data.labelled.corpus import LabelledData
from fxformer.errors import UserError
from fxformer.evaluate.task_evaluation import TaskEvaluation, evaluate_task
from fxformer.track import formatting


def data_options(overrides: Sequence[str]) -> dict[str, Any]:
    """{"files": …} of words data.files=…. UserError for words that are no option of the rows."""
    known = [f"data.{name}" for name in LabelledData.__dataclass_fields__]
    known += ["data.length", "data.batch"]
    found = {}
    for word in overrides:
        key = word.partition("=")[0]
        if key not in known:
            raise UserError(
                f"{word}: an evaluation without a suite takes data.files= and other options of "
                f"labelled rows{nearest(key, known)}"
            )
        found[key.removeprefix("data.")] = value_of(word)
    return found


def run(
    model: str,
    overrides: Sequence[str],
    runs: str,
    *,
    split: Literal["valid", "test"] | None,
    step: str | None,
    metrics: Sequence[str],
    task: str | None,
    file: str | None,
) -> None:
    """Evaluate and print, or write JSON to `file` as well. UserError for what cannot be.

    step: of the checkpoint, a number or "best"; the others as in `evaluate_task`
    """
    if step not in (None, "best") and not str(step).isdigit():
        raise UserError(f"--step {step}: expected a number or best")
    found = evaluate_task(
        model,
        split,
        data=data_options(overrides),
        metrics=metrics,
        task=task,
        step=int(step) if step and step.isdigit() else "best" if step else None,
        runs=runs,
    )
    show(found, Console())
    if file:
        text = json.dumps(jsonl.encode(found.facts()), indent=1) + "\n"
        jsonl.replace(Path(file).expanduser(), text)


def show(found: TaskEvaluation, console: Console) -> None:
    """Print scores with intervals, losses, what they are of, and remarks."""
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in ("metric", "value", "signature"):
        table.add_column(name, overflow="fold")
    for name, score in found.scores.items():
        table.add_row(*map(Text, (name, str(score), score.signature)))
    for name, value in found.averages.items():
        if name not in found.scores:
            table.add_row(*map(Text, (name, f"{value:.4f}", "")))
    console.print(table)
    step = "" if found.step is None else f", step {found.step}"
    energy = formatting.si(found.joules, "J")
    lines = [
        f"{found.model}{step} on {found.split}: {found.examples:,} examples of {found.rows:,} rows",
        f"{energy} ({found.provenance}), {formatting.duration(found.seconds)}; intervals: 95 %, "
        "bootstrap over examples",
        *found.remarks,
    ]
    for line in lines:
        console.print(Text(formatting.safe(line), style="dim"))
