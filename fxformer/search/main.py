"""`fxformer search [STUDY]`: list of studies, or the report of one. `search serve`: see `serve`."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fxformer.arguments import Parser
from fxformer.figures.drawing import check_figure, write_figure
from fxformer.files import check_output
from fxformer.search.cost import RESOLUTION
from fxformer.search.figure import search_figure, search_means
from fxformer.search.report import study_report, to_csv, to_json
from fxformer.search.serve import main as serve
from fxformer.search.show import show, show_list
from fxformer.search.study import find, studies, unreadable
from fxformer.track import formatting
from fxformer.track.commands import add_means
from fxformer.track.mean_table import check_means, write_means


def main(argv: Sequence[str], console: Console | None = None) -> None:
    """Print the list or the report, or write it as JSON or CSV. UserError for an unknown study."""
    if argv[:1] == ["serve"]:
        return serve(argv[1:])
    given, console = search_parser().parse(argv), console or Console()
    if given.study is None:
        found, broken = studies(given.runs), unreadable(given.runs)
        if not found and not broken:
            hint = "start one with `fxformer train -m search=random …`"
            console.print(Text(f"no studies in {given.runs}/; {hint}"))
            return
        show_list([study_report(study) for study in found], console)
        for name, why in broken.items():
            console.print(Text(formatting.safe(f"{name}: unreadable: {why}"), style="red"),
                          soft_wrap=True)  # fmt: skip
        return
    for file, option in ((given.json, "--json"), (given.csv, "--csv")):
        if file not in (None, "-"):
            check_output(file, option)
    means = check_means(given.means, "--means") if given.means else None
    figure = check_figure(given.figure, "--figure") if given.figure else None
    report = study_report(find(given.runs, given.study), given.resolution)
    for file, write in ((given.json, to_json), (given.csv, to_csv)):
        if file == "-":
            print(write(report), end="")
        elif file:
            Path(file).expanduser().write_text(write(report), encoding="utf-8")
    if means is not None:
        write_means(search_means(report, given.number), means)
    if figure is not None:
        write_figure(search_figure(report), figure)
    if "-" not in (given.json, given.csv, given.means):
        show(report, console, given.all)


def search_parser() -> Parser:
    """The arguments of `fxformer search`."""
    parser = Parser(
        "search",
        "Print the report of a search: ranking, parameter importance, Pareto front, cost; all "
        "searches where none is named. `fxformer train -m` runs searches: see its help.",
        examples=[
            ("", "all searches of a folder"),
            ("last --csv trials.csv", "the newest one; its trials as CSV"),
            (
                "last --means paper.tex --figure paper.pdf",
                "mean ± interval over seeds, for a paper",
            ),
            ("serve --help", "a database for the workers of several machines"),
        ],
    )
    parser.add_argument(
        "study", nargs="?", metavar="STUDY", help="its name, its first letters, or last"
    )
    parser.add_argument("--all", action="store_true", help="all configurations, not the best 20")
    parser.add_argument(
        "--resolution",
        type=int,
        default=RESOLUTION,
        metavar="N",
        help=f"values per interval of the grid that its cost is compared with ({RESOLUTION})",
    )
    parser.add_argument("--json", metavar="FILE", help="everything as JSON; -: to the terminal")
    parser.add_argument("--csv", metavar="FILE", help="the trials as CSV; -: to the terminal")
    add_means(parser)
    parser.add_argument(
        "--figure",
        metavar="FILE",
        help="the best configurations with intervals, as FILE.svg or .pdf",
    )
    return parser
