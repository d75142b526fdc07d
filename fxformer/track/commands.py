"""The verbs that print what the folders of runs hold: `fxformer show`, `runs` and `energy`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fxformer.arguments import RUN, Parser
from fxformer.files import check_output
from fxformer.track import export, mean_table, show
from fxformer.track.energy_report import (
    EarlyAttempts,
    RunEnergy,
    print_report,
    run_energy,
    to_json,
)
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import find, runs


def show_parser() -> Parser:
    """The arguments of `fxformer show`."""
    parser = Parser(
        "show",
        "Print one run: its facts, its loss curve, its energy by phase and device.",
        examples=[("last", "the newest run"), ("bert", "the newest run whose name is bert")],
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    return parser


def show_run(argv: Sequence[str], console: Console | None = None) -> None:
    """`fxformer show`. UserError, with the nearest names, where there is no such run."""
    given = show_parser().parse(argv)
    show.show(given.run, root=given.runs, console=console)


def runs_parser() -> Parser:
    """The arguments of `fxformer runs`."""
    parser = Parser(
        "runs",
        "List the runs of a folder, or write them as tables for other tools.",
        examples=[
            ("runs=/data/runs", "the runs of another folder"),
            ("--table runs.csv --metrics metrics.parquet", "write two tables"),
            ("--table -", "print the main columns as CSV"),
            ("--means paper.tex --number valid_loss", "mean ± interval over seeds, for LaTeX"),
        ],
    )
    parser.add_argument(
        "--table",
        metavar="FILE",
        help="a row for each run: FILE.csv or .parquet, with "
        "all columns; -: print the main ones as CSV",
    )
    parser.add_argument("--metrics", metavar="FILE", help="a row for each logged line: the same")
    add_means(parser)
    return parser


def add_means(parser: Parser) -> None:
    """Add the options --means and --number."""
    parser.add_argument(
        "--means",
        metavar="FILE",
        help="a row for each setting: mean and interval of each number over the seeds, and only "
        "the keys that differ; FILE.csv or .tex (LaTeX); -: print as CSV",
    )
    parser.add_argument(
        "--number",
        action="append",
        default=[],
        metavar="NAME",
        help="of --means: a number of the summary; repeatable (valid_loss, valid_accuracy, joules)",
    )


def list_or_export(argv: Sequence[str], console: Console | None = None) -> None:
    """`fxformer runs`. UserError where a file cannot be written."""
    given, console = runs_parser().parse(argv), console or Console()
    printed = given.table == "-"
    means = mean_table.check_means(given.means, "--means") if given.means else None
    wanted = export.outputs(None if printed else given.table, given.metrics)
    if means is not None:
        mean_table.write_means(mean_table.of_runs(runs(given.runs), given.number), means)
    if printed:
        export.print_table(runs(given.runs), sys.stdout)
    for write, path in wanted:
        console.print(Text(f"{write(runs(given.runs), path)} rows: {path}"), soft_wrap=True)
    if not wanted and not printed and means is None:
        show.list_runs(root=given.runs, console=console)


def energy_parser() -> Parser:
    """The arguments of `fxformer energy`."""
    parser = Parser(
        "energy",
        "Print the energy that all runs of a folder used, or one run: by run, search, phase and "
        "device. Every attempt counts: finished, interrupted, failed, killed.",
        examples=[("--hourly grid.csv", "carbon by another grid than the runs were counted with")],
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help=f"{RUN}; all where none is given")
    parser.add_argument("--json", metavar="FILE", help="everything as JSON; -: to the terminal")
    parser.add_argument("--hourly", metavar="FILE", help="an hourly grid (energy.grid_hourly)")
    parser.add_argument("--column", help="its column (energy.grid_column)")
    parser.add_argument("--timezone", help="its time zone (energy.grid_timezone)")
    return parser


def energy(argv: Sequence[str], console: Console | None = None) -> list[RunEnergy]:
    """`fxformer energy`. UserError where there are no runs, or a file cannot be used."""
    given, console = energy_parser().parse(argv), console or Console()
    options = {"hourly": given.hourly, "column": given.column, "timezone": given.timezone}
    grid = {f"grid_{name}": value for name, value in options.items() if value is not None} or None
    if given.json not in (None, "-"):
        check_output(given.json, "--json")
    early = EarlyAttempts() if given.run else EarlyAttempts.read(given.runs)
    there = [find(given.runs, given.run)] if given.run else runs(given.runs)
    if not there and not early.attempts:
        find(given.runs, "last")  # raises: there are no runs
    accounts = [run_energy(run, grid) for run in there]
    text = Redactor().text(json.dumps(to_json(accounts, early), indent=1)) if given.json else ""
    if given.json == "-":
        print(text)
        return accounts
    print_report(accounts, early, console)
    if given.json:
        Path(given.json).expanduser().write_text(text + "\n", encoding="utf-8")
    return accounts
