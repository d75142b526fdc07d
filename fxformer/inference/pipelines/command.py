"""`fxformer pipeline TASK MODEL [FILES|-]`: answers as JSON lines, resumable."""

import hashlib
import itertools
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxformer import jsonl
from fxformer.arguments import Parser
from fxformer.data.progress import Slow
from fxformer.errors import UserError
from fxformer.files import check_output, open_regular
from fxformer.inference.pipelines.names import ALIASES, TASKS
from fxformer.inference.pipelines.row_files import FORMATS, ColumnNames, check_files, read_rows
from fxformer.track.formatting import plural

if TYPE_CHECKING:
    from fxformer.inference.pipelines.base import Pipeline

COSTS = ("joules", "milliseconds", "compile_joules", "compile_milliseconds")  # of an answer
Numbered = tuple[str, int, Any]  # file, row number, row


def pipeline_parser() -> Parser:
    """The arguments of `fxformer pipeline`."""
    parser = Parser(
        "pipeline",
        "Answer a task for every row of files or of standard input: one JSON line a row, in order. "
        "A row that cannot be answered has an error on its line, and the rest goes on.",
        overrides="an option of the task, e.g. top_k=3, max_new_tokens=64, targets=[cat,dog]",
        examples=[
            ("fill-mask RUN masked.txt top_k=3", "three words for each mask"),
            ("summarization DIR news.jsonl --column body -o out.jsonl", "a column of JSON lines"),
            ("question-answering DIR squad.csv -o out.jsonl --resume", "go on after a kill"),
            ("ner DIR - aggregation_strategy=first < text.txt", "entities of words"),
        ],
    )
    parser.add_argument(
        "task", metavar="TASK", help=", ".join([*TASKS, *ALIASES, "translation_XX_to_YY"])
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a run, a Hugging Face folder, or an id of the hub"
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        default=(),
        help="text, .csv or .jsonl; -: standard input (default)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write there, not to the terminal")
    parser.add_argument(
        "--resume", action="store_true", help="go on with --output where a killed command stopped"
    )
    parser.add_argument("--column", metavar="NAME", help="the column that holds the text")
    parser.add_argument("--format", choices=FORMATS, help="of the input (default: by its suffix)")
    parser.add_argument("--step", type=int, help="checkpoint of a run (default: the last)")
    parser.add_argument(
        "--energy", action="store_true", help="joules and milliseconds of each answer"
    )
    return parser


def pipeline_command(argv: Sequence[str]) -> None:
    """`fxformer pipeline`. Raises UserError."""
    given = pipeline_parser().parse(argv)
    check_files(given.files)
    if given.resume and given.output is None:
        raise UserError("--resume goes on with a file: write --output FILE too")
    if given.output is not None:
        check_output(given.output, "--output", stream=False)
        if Path(given.output).expanduser().exists() and not given.resume:
            raise UserError(
                f"--output {given.output} exists: write --resume to go on with it, or another name"
            )
    options = {key: option_value(value) for key, value in map(_split, given.overrides)}
    from fxformer.inference.pipelines.tasks import pipeline

    made = pipeline(
        given.task, given.model, step=given.step, runs=given.runs, energy=given.energy, **options
    )
    columns = ColumnNames(made.fields, made.required_fields, given.column)
    rows = read_rows(given.files, columns, given.format)
    key = [made.name, made.model.name, made.model.step, options]
    _write(made, rows, given, key)


def _write(made: "Pipeline", rows: Iterator[Numbered], given: Any, key: list[Any]) -> None:
    """Answer the rows that the output file does not hold yet."""
    file = None if given.output is None else Path(given.output).expanduser()
    done = 0 if file is None or not file.exists() else skip_answered(file, rows, key)
    writer = None if file is None else jsonl.Writer(file)
    errors = written = 0
    shown = writer is None and sys.stdout.isatty()  # no progress line between the answers
    ahead, rows = itertools.tee(rows)
    answers = made.answers((row for _, _, row in ahead), first=done)
    try:
        with Slow(made.name, "rows", math.inf if shown else 2.0) as work:
            for (name, number, row), answer in zip(rows, answers, strict=False):
                line = {"file": name, "row": number, "request": digest(key, row)}
                if answer.error is None:
                    line["output"] = answer.value
                else:
                    line["error"] = answer.error
                if answer.joules is not None:
                    line |= {name: getattr(answer, name) for name in COSTS}
                _put(line, writer)
                errors, written = errors + (answer.error is not None), written + 1
                work.advance(1)
    finally:
        if writer is not None:
            writer.close()
    _tell(made, written, errors, done)


def _put(line: dict[str, Any], writer: jsonl.Writer | None) -> None:
    if writer is not None:
        writer.write(line)
        return
    sys.stdout.write(json.dumps(jsonl.encode(line), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _tell(made: "Pipeline", written: int, errors: int, done: int) -> None:
    """The last line, on standard error: counts and the energy of a request."""
    said = f"{plural(written, 'row')}, {errors:,} with an error"
    said += f"; {done:,} were answered before" if done else ""
    print(said, file=sys.stderr)
    if made.meter is not None:
        print(made.cost() or "no request, so no energy of one", file=sys.stderr)


def skip_answered(file: Path, rows: Iterator[Numbered], key: list[Any]) -> int:
    """Consume the rows that the lines of an output file answer; how many they are.

    A torn last line is cut off. UserError where a line is of another row, task, model or option.
    """
    size, count = 0, 0
    with open_regular(file) as opened:
        for text in opened:
            if not text.endswith(b"\n"):
                break
            try:
                line = jsonl.parse(text)
            except ValueError as error:
                raise UserError(f"{file}:{count + 1} is no answer of a pipeline: {error}") from None
            found = next(rows, None)
            if found is None:
                raise UserError(f"{file} has more lines than the input has rows")
            name, number, row = found
            if line.get("request") != digest(key, row):
                raise UserError(
                    f"{file}:{count + 1} is no answer to {name} row {number} with this task, model "
                    "and options; give those it was written with, or another --output"
                )
            size, count = size + len(text), count + 1
    with open(file, "rb+") as opened:
        opened.truncate(size)
    return count


def digest(key: list[Any], row: Any) -> str:
    """Identifies a row with the task, the model and the options that answer it."""
    said = str(row) if isinstance(row, UserError) else row
    text = json.dumps([key, said], sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _split(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value


def option_value(text: str) -> Any:
    """The value of KEY=VALUE: JSON where it is (numbers, true, null, "quoted"), [a,b] a list, else
    the text."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    if text.startswith("[") and text.endswith("]"):
        return [option_value(one.strip()) for one in text[1:-1].split(",") if one.strip()]
    return text
