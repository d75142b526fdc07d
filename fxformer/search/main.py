"""`fxformer search [STUDY]`: the studies there are, or one of them, told whole.

`fxformer search serve` is another thing: see `serve`.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fxformer.arguments import Parser
from fxformer.files import check_output
from fxformer.search.cost import RESOLUTION
from fxformer.search.report import account, to_csv, to_json
from fxformer.search.serve import main as serve
from fxformer.search.show import show, show_list
from fxformer.search.study import find, studies, unreadable
from fxformer.track import formatting


def main(argv: Sequence[str], console: Console | None = None) -> None:
    """Read, print, write files if asked. UserError where there is nothing of the kind."""
    if argv[:1] == ["serve"]:
        return serve(argv[1:])
    given, console = search_parser().parse(argv), console or Console()
    if given.study is None:
        there, wrong = studies(given.runs), unreadable(given.runs)
        if not there and not wrong:
            makes = "`fxformer train -m search=random …` makes one"
            console.print(Text(f"no studies in {given.runs}/ yet; {makes}"))
            return
        show_list([account(study) for study in there], console)
        for name, why in wrong.items():
            console.print(Text(formatting.safe(f"{name}: unreadable: {why}"), style="red"),
                          soft_wrap=True)  # fmt: skip
        return
    for file, option in ((given.json, "--json"), (given.csv, "--csv")):
        if file not in (None, "-"):
            check_output(file, option)
    told = account(find(given.runs, given.study), given.resolution)
    for file, write in ((given.json, to_json), (given.csv, to_csv)):
        if file == "-":
            print(write(told), end="")
        elif file:
            Path(file).expanduser().write_text(write(told), encoding="utf-8")
    if "-" not in (given.json, given.csv):
        show(told, console, given.all)


def search_parser() -> Parser:
    """The arguments of `fxformer search`."""
    made = Parser(
        "search",
        "Print what a search tried, found and cost; all searches where none is named. `fxformer "
        "train -m` runs searches: see its help.",
        examples=[
            ("", "all searches of a folder"),
            ("last --csv trials.csv", "the newest one; its trials as CSV"),
            ("serve --help", "a database for the workers of several machines"),
        ],
    )
    made.add_argument(
        "study", nargs="?", metavar="STUDY", help="its name, its first letters, or last"
    )
    made.add_argument("--all", action="store_true", help="every configuration, not the best 20")
    made.add_argument(
        "--resolution",
        type=int,
        default=RESOLUTION,
        metavar="N",
        help=f"values of an interval in the grid that its cost is compared with ({RESOLUTION})",
    )
    made.add_argument("--json", metavar="FILE", help="everything as JSON; -: to the terminal")
    made.add_argument("--csv", metavar="FILE", help="the trials as CSV; -: to the terminal")
    return made
