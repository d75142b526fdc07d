"""`fxformer compare RUN RUN …`: runs scored on the same text, as a table and JSON."""

import argparse
import contextlib
import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from rich.console import Console

from fxformer import jsonl
from fxformer.arguments import RUN, Parser
from fxformer.data.corpus_text import TextCorpus
from fxformer.errors import UserError
from fxformer.evaluate import task_comparison
from fxformer.evaluate.comparison_figure import comparison_figure, task_comparison_figure
from fxformer.evaluate.comparison_table import show
from fxformer.evaluate.equal_cost import Unit, choose
from fxformer.evaluate.held_out import held_out
from fxformer.evaluate.passages import fitting
from fxformer.evaluate.probe import Labelled, by_document, labelled
from fxformer.evaluate.scores import RunScores, read
from fxformer.evaluate.task_comparison import TaskComparison, are_tasks, compare_tasks
from fxformer.figures.drawing import check_figure, write_figure
from fxformer.files import check_output
from fxformer.inference.loaded_run import CheckpointCost, LoadedRun, checkpoint_costs, load_run
from fxformer.track.redact import Redactor
from fxformer.track.run_lock import utc_now
from fxformer.track.run_reader import StoredRun, find

KEPT = ".compared"  # in the folder of the runs


@dataclasses.dataclass(frozen=True)
class Compared:
    """What came out.

    unit, budget: of the cost that no checkpoint exceeds, where `equal`; else the runs stand at
        their final checkpoints, of which the budget is the smallest cost
    share: of the first run's held-out text that every run holds out, of which the passages are
    passages, left_out: how many there were
    guess: accuracy of the probe's commonest label; task: what the probe's labels are
    """

    unit: Unit
    budget: float
    equal: bool
    share: float
    passages: int
    left_out: int
    task: str | None
    guess: float | None
    runs: list[tuple[StoredRun, CheckpointCost, RunScores]]

    def plain(self) -> dict:
        """For JSON."""
        head = dataclasses.asdict(dataclasses.replace(self, runs=[]))
        first = self.runs[0][2]
        head["runs"] = [
            {
                "run": run.id,
                "folder": str(run.folder),
                "parameters": run.facts.get("parameters"),
                "spent": dataclasses.asdict(spent),
                "scores": _plain(scores, first),
            }
            for run, spent, scores in self.runs
        ]
        return head


def _plain(scores: RunScores, first: RunScores) -> dict:
    found: dict = {"reads_only_the_left": scores.blind, "lossy": scores.lossy}
    for field in ("infill", "follow", "pseudo", "probe", "untrained"):
        one, other = getattr(scores, field), getattr(first, field)
        found[field] = None
        if one is not None:
            found[field] = {"value": one.value, "error": one.error}
            if other is not None and scores is not first:
                more = one.minus(other)
                found[field]["beyond_first"] = {"value": more.value, "error": more.error}
    return found


def compare_parser() -> Parser:
    """The arguments of `fxformer compare`."""
    made = Parser(
        "compare",
        "Score runs of any objectives on the same words of the same held-out text, with the "
        "checkpoints that they had written at equal cost. Runs of labelled tasks: their scores "
        "side by side, over seeds where the runs differ in their seed only.",
        examples=[
            ("bert gpt2 --at joules", "at equal energy"),
            ("bert gpt2 --json c.json", ""),
            ("tuned-1 tuned-2 tuned-3", "three seeds of a task: mean and interval"),
        ],
    )
    made.add_argument("run", nargs="+", metavar="RUN", help=RUN)
    made.add_argument(
        "--at", choices=get_args(Unit), default="tokens", help="what is equal (tokens)"
    )
    made.add_argument(
        "--budget",
        type=float,
        help="how much of it; default: the most that all reached, or, where a run kept no "
        "checkpoint of so little, the final checkpoints",
    )
    made.add_argument("--passages", type=int, default=200, metavar="N", help="how many texts (200)")
    made.add_argument("--seed", type=int, default=0, help="of the random choice of passages (0)")
    made.add_argument(
        "--probe",
        metavar="FILE",
        help="JSON lines with text and label; default: which document a text comes from",
    )
    made.add_argument("--no-probe", action="store_true", help="leave the probe out")
    made.add_argument("--json", metavar="FILE", help="everything as JSON")
    made.add_argument(
        "--figure", metavar="FILE", help="the scores with intervals: FILE.svg or .pdf"
    )
    return made


def main(argv: Sequence[str], console: Console | None = None) -> Compared | TaskComparison:
    """Compare, print, write. UserError where runs cannot be compared."""
    knobs, console = compare_parser().parse(argv), console or Console()
    if knobs.json is not None:
        check_output(knobs.json, "--json")
    figure = check_figure(knobs.figure, "--figure") if knobs.figure else None
    runs = [find(knobs.runs, which).checked() for which in knobs.run]
    compared: Compared | TaskComparison
    if are_tasks(runs):
        if knobs.budget is not None:
            raise UserError(
                "--budget: runs of labelled tasks are compared by the evaluations that they stored"
            )
        compared = compare_tasks(runs)
        task_comparison.show(compared, console)
    else:
        compared = compare(runs, knobs, console)
        show(compared, console)
    if figure is not None:
        tasks = isinstance(compared, TaskComparison)
        drawn = task_comparison_figure(compared) if tasks else comparison_figure(compared)
        write_figure(drawn, figure)
    plain = jsonl.encode(compared.plain())
    text = Redactor().text(json.dumps(plain, indent=1)) + "\n"
    if isinstance(compared, Compared):
        keep(Path(knobs.runs), text)
    if knobs.json:
        Path(knobs.json).expanduser().write_text(text, encoding="utf-8")
    return compared


def keep(root: Path, text: str, folder: str = KEPT) -> None:
    """The answer stays in a folder beside the runs, where the dashboard looks for it."""
    stamp = utc_now().translate(str.maketrans("", "", ":+-"))
    with contextlib.suppress(OSError):  # a folder that cannot be written to was good for reading
        (root / folder).mkdir(exist_ok=True)
        jsonl.replace(root / folder / f"{stamp}.json", text)


def compare(runs: Sequence[StoredRun], knobs: argparse.Namespace, console: Console) -> Compared:
    """Choose checkpoints of equal cost, ask them all the same."""
    named = [(run.id, checkpoint_costs(run)) for run in runs]
    budget, chosen, equal = choose(named, knobs.at, knobs.budget)
    with console.status("opening the runs …"):
        loaded = [load_run(run, one.step) for run, one in zip(runs, chosen, strict=True)]
        texts, share = held_out(loaded)
    readers = [(one.tokenizer, one.corpus.length) for one in loaded]
    drawn, examples, left_out = fitting(texts, readers, knobs.passages, knobs.seed)
    task, name = (None, None) if knobs.no_probe else probe_task(knobs.probe, loaded[0])
    scores = []
    for one, own in zip(loaded, examples, strict=True):
        with console.status(f"scoring {one.run.id} …"):
            scores.append(read(one, drawn, own, task))
    guess = None if task is None else task.guess
    answers = list(zip(runs, chosen, scores, strict=True))
    return Compared(
        unit=knobs.at,
        budget=budget,
        equal=equal,
        share=share,
        passages=len(drawn),
        left_out=left_out,
        task=name,
        guess=guess,
        runs=answers,
    )


def probe_task(file: str | None, first: LoadedRun) -> tuple[Labelled, str] | tuple[None, None]:
    """The texts and labels of the probe, and what to call them; None where documents are too
    short to tell them apart."""
    if file is None:
        corpus = cast(TextCorpus, first.corpus)  # held_out has checked it
        documents = itertools.chain(corpus.documents("train"), corpus.documents("valid"))
        task = by_document(documents)
        return (None, None) if task is None else (task, "which document")
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"--probe {file}: is not UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise UserError(f"--probe {file}: {error.strerror}") from error
    lines = text.removesuffix("\n").split("\n")  # JSON may hold what splitlines takes for an end
    pairs = [_pair(line, f"--probe {file}, line {n}") for n, line in enumerate(lines, 1)]
    if len({label for _, label in pairs}) < 2:
        raise UserError(f"--probe {file}: needs texts of two labels or more")
    return labelled(pairs), Path(file).stem


def _pair(line: str, where: str) -> tuple[str, str]:
    """Text and label of one line."""
    try:
        record = json.loads(line)
        return str(record["text"]), str(record["label"])
    except (ValueError, KeyError, TypeError) as error:
        wanted = '{"text": …, "label": …}'
        raise UserError(f"{where}: expected {wanted}, got {line[:60]!r}") from error
