"""`fxformer search [STUDY]`: the studies there are, or one of them, told whole.

`fxformer search serve` is another thing: see `serve`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fxformer.files import check_output
from fxformer.search.cost import RESOLUTION
from fxformer.search.report import account, to_csv, to_json
from fxformer.search.serve import main as serve
from fxformer.search.show import show, show_list
from fxformer.search.study import find, studies, unreadable
from fxformer.track import formatting

DESCRIPTION = """What a search tried, found and cost: `fxformer train -m search.trials=20
'optimizer.lr=interval(1e-4,1e-2)'` makes one; the same command goes on with it."""


def main(argv: Sequence[str], console: Console | None = None) -> None:
    """Read, print, write files if asked. UserError where there is nothing of the kind."""
    if argv[:1] == ["serve"]:
        return serve(argv[1:])
    given, console = arguments(argv), console or Console()
    if given.study is None:
        there, wrong = studies(given.root), unreadable(given.root)
        if not there and not wrong:
            makes = "`fxformer train -m search=random …` makes one"
            console.print(Text(f"no studies in {given.root}/ yet; {makes}"))
            return
        show_list([account(study) for study in there], console)
        for name, why in wrong.items():
            console.print(Text(formatting.safe(f"{name}: unreadable: {why}"), style="red"),
                          soft_wrap=True)  # fmt: skip
        return
    for file, option in ((given.json, "--json"), (given.csv, "--csv")):
        if file not in (None, "-"):
            check_output(file, option)
    told = account(find(given.root, given.study), given.resolution)
    for file, write in ((given.json, to_json), (given.csv, to_csv)):
        if file == "-":
            print(write(told), end="")
        elif file:
            Path(file).expanduser().write_text(write(told), encoding="utf-8")
    if "-" not in (given.json, given.csv):
        show(told, console, given.all)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="fxformer search", description=DESCRIPTION)
    parser.add_argument("study", nargs="?", help="its name, or the beginning of it, or last")
    parser.add_argument("--root", default="runs", help="the folder of the runs (runs)")
    parser.add_argument("--all", action="store_true", help="every setting, not the best 20")
    parser.add_argument(
        "--resolution",
        type=int,
        default=RESOLUTION,
        metavar="N",
        help=f"values of an interval in the grid it is held against ({RESOLUTION})",
    )
    parser.add_argument("--json", metavar="FILE", help="all of it as JSON; - for the terminal")
    parser.add_argument("--csv", metavar="FILE", help="the trials as CSV; - for the terminal")
    return parser.parse_args(argv)
