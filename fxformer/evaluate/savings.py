"""`fxformer savings TEACHER STUDENT`: what a request costs with both, and when distilling has paid.

A request is one text, read alone: the forward pass to the last hidden states, and the task heads
where a model has them. Texts and models take turns, so that a load of the machine falls on both.
"""

import argparse
import dataclasses
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Array
from rich.console import Console
from rich.table import Table

from fxformer.arguments import RUN, Parser
from fxformer.batch import Batch
from fxformer.energy.meter import Meter
from fxformer.errors import UserError
from fxformer.files import check_output
from fxformer.inference.forward import TaskOutputs
from fxformer.inference.load import load
from fxformer.inference.model import Model
from fxformer.inference.pipelines.cost import charged, open_meter
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.track import formatting
from fxformer.track.run_reader import StoredRun, find
from fxformer.train.state import count_parameters

ROUNDS, TEXTS = 8, 32


@dataclasses.dataclass(frozen=True)
class LastHidden:
    """Hidden states of the last layer. [B, T, D]."""

    def __call__(self, module: Any, batch: Batch) -> Array:
        return module(batch)


@dataclasses.dataclass(frozen=True)
class RequestSample:
    """Joules and seconds of a request with one model, a number for each round.

    provenance: how the joules were measured
    """

    name: str
    parameters: int
    joules: tuple[float, ...]
    seconds: tuple[float, ...]
    provenance: str

    def facts(self) -> dict[str, Any]:
        """For JSON; medians beside the numbers."""
        return dataclasses.asdict(self) | {
            "joules_per_1000": 1e3 * statistics.median(self.joules),
            "seconds_per_request": statistics.median(self.seconds),
        }


@dataclasses.dataclass(frozen=True)
class Savings:
    """A teacher and its student.

    distilling: joules of the student's run; None: not a run
    speedup: (mean, low, high) of the teacher's seconds over the student's, over rounds
    saved: (mean, low, high) joules that a request saves
    """

    teacher: RequestSample
    student: RequestSample
    distilling: float | None
    requests: int

    @property
    def speedup(self) -> tuple[float, float, float]:
        pairs = zip(self.teacher.seconds, self.student.seconds, strict=True)
        return _interval([a / b for a, b in pairs])

    @property
    def saved(self) -> tuple[float, float, float]:
        pairs = zip(self.teacher.joules, self.student.joules, strict=True)
        return _interval([a - b for a, b in pairs])

    @property
    def break_even(self) -> float | None:
        """Requests after which the joules saved are those of distilling; None: not known."""
        mean, low, _ = self.saved
        if self.distilling is None or low <= 0:
            return None
        return self.distilling / mean

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "teacher": self.teacher.facts(),
            "student": self.student.facts(),
            "distilling_joules": self.distilling,
            "requests": self.requests,
            "speedup": self.speedup,
            "saved_joules_per_request": self.saved,
            "break_even_requests": self.break_even,
        }


def savings_parser() -> Parser:
    """The arguments of `fxformer savings`."""
    parser = Parser(
        "savings",
        "Measure seconds and joules of a request with a teacher and with its student, in turns, "
        "and after how many requests the energy of distilling is paid back.",
        examples=[("TEACHER STUDENT --texts requests.txt", "one request a line")],
    )
    parser.add_argument("teacher", metavar="TEACHER", help=f"{RUN}, a Hugging Face folder or id")
    parser.add_argument("student", metavar="STUDENT", help=f"{RUN}, a Hugging Face folder or id")
    parser.add_argument(
        "--texts", required=True, metavar="FILE", help=f"one text a line; {TEXTS} are used"
    )
    parser.add_argument("--runs", default="runs", metavar="FOLDER", help="that holds the runs")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help="times all texts are read"
    )
    parser.add_argument("--json", metavar="FILE", help="all numbers")
    return parser


def savings_command(argv: Sequence[str], console: Console | None = None) -> Savings:
    """Measure, print, write. Raises UserError."""
    given, console = savings_parser().parse(argv), console or Console()
    if given.json is not None:
        check_output(given.json, "--json")
    if given.rounds < 2:
        raise UserError(f"--rounds={given.rounds}: write at least 2, for an interval")
    texts = read_texts(Path(given.texts))
    with console.status("reading both models …"):
        models = [load(which, runs=given.runs) for which in (given.teacher, given.student)]
    with console.status("measuring …"):
        samples = measure(models, texts, given.rounds)
    found = Savings(*samples, distilling=_joules(given), requests=len(texts) * given.rounds)
    show(found, console)
    if given.json is not None:
        text = json.dumps(found.facts(), indent=1) + "\n"
        Path(given.json).expanduser().write_text(text, encoding="utf-8")
    return found


def read_texts(file: Path) -> list[str]:
    """The first texts of a file of one text a line. Raises UserError."""
    try:
        lines = file.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--texts={file} cannot be read: {error}") from None
    texts = [line for line in lines if line.strip()][:TEXTS]
    if not texts:
        raise UserError(f"--texts={file} has no text; write one text a line")
    return texts


def measure(
    models: Sequence[Model], texts: Sequence[str], rounds: int, meter: Meter | None = None
) -> list[RequestSample]:
    """A sample for each model. Every program is compiled before the first round."""
    meter = meter or open_meter()
    rows = [model.rows(list(texts)) for model in models]
    computes = [TaskOutputs() if model.module.task_heads else LastHidden() for model in models]
    joules: list[list[float]] = [[] for _ in models]
    seconds: list[list[float]] = [[] for _ in models]
    for turn in range(rounds + 1):  # the first compiles
        for n, model in enumerate(models):
            with charged(meter) as spent:
                for row in rows[n]:
                    model.run_rows(computes[n], [row])
            if turn:
                joules[n].append(spent.joules / len(texts))
                seconds[n].append(spent.seconds / len(texts))
    return [
        RequestSample(
            model.name,
            count_parameters(model.params),
            tuple(joules[n]),
            tuple(seconds[n]),
            meter.provenance,
        )
        for n, model in enumerate(models)
    ]


def show(found: Savings, console: Console) -> None:
    """The table and what follows from it."""
    table = Table("", "parameters", "ms a request", "J per 1,000 requests")
    for kind, one in (("teacher", found.teacher), ("student", found.student)):
        table.add_row(
            f"{kind} {one.name}",
            formatting.count(one.parameters),
            f"{1e3 * statistics.median(one.seconds):.3g}",
            f"{1e3 * statistics.median(one.joules):.3g}",
        )
    console.print(table)
    speed, (mean, low, high) = found.speedup, found.saved
    joules = (1e3 * mean, 1e3 * low, 1e3 * high)
    lines = [
        f"the student is {_words(speed)} times as fast and saves {_words(joules)} J per 1,000 "
        f"requests (95 % intervals over rounds; energy {found.student.provenance})"
    ]
    if found.distilling is None:
        lines.append("the student is no run, so the energy of distilling it is not known")
    elif found.break_even is None:
        lines.append(
            f"distilling took {formatting.si(found.distilling, 'J')}; the saving of a request is "
            "not above 0 with confidence, so no number of requests is known to pay for it"
        )
    else:
        lines.append(
            f"distilling took {formatting.si(found.distilling, 'J')}, paid back after "
            f"{found.break_even:,.0f} requests"
        )
    for line in lines:
        console.print(line, highlight=False)


def _joules(given: argparse.Namespace) -> float | None:
    """Joules of the student's run; None: it is a published model."""
    place = Path(given.student)
    if (place / "run.json").is_file():
        return StoredRun(place).energy().total.joules
    if (place / "config.json").is_file() or "/" in given.student:
        return None
    return find(given.runs, given.student).energy().total.joules


def _interval(values: Sequence[float]) -> tuple[float, float, float]:
    found = ConfidenceInterval.of(values)
    assert found.low is not None and found.high is not None  # of two rounds or more
    return found.mean, found.low, found.high


def _words(interval: tuple[float, float, float]) -> str:
    mean, low, high = interval
    return f"{mean:.3g} [{low:.3g}, {high:.3g}]"
