"""The verbs `fxformer dashboard` and `fxformer report`."""

import argparse
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fxformer.dashboard import document
from fxformer.dashboard.api_inspect import Look, steps
from fxformer.dashboard.indexing import read_ahead
from fxformer.dashboard.run_index import Shelf
from fxformer.errors import UserError
from fxformer.files import check_output
from fxformer.track import formatting
from fxformer.track.run_reader import find, runs

PORT = 8650


def dashboard(argv: Sequence[str], console: Console | None = None) -> None:
    """Serve until interrupted. UserError where it cannot."""
    from fxformer.dashboard.server import Server

    parser = argparse.ArgumentParser(
        prog="fxformer dashboard",
        description=(
            "A page over the runs of a folder, live while runs go on. Nothing leaves the machine."
        ),
    )
    parser.add_argument("folder", nargs="?", default="runs", help="the folder that holds the runs")
    parser.add_argument("--port", type=int, default=PORT, help=f"0: any that is free ({PORT})")
    parser.add_argument("--host", default="127.0.0.1", help="another address needs --token")
    parser.add_argument(
        "--token",
        nargs="?",
        const="",
        help="what a browser must bring; without "
        "a value one is drawn. Use it where others share the machine",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME[:PORT]",
        help="another name by which a browser reaches the page: localhost:9000 of "
        "a forwarded port, lab.example of a proxy; may be given again",
    )
    parser.add_argument(
        "--base-path",
        default="",
        metavar="PATH",
        help="where a proxy puts the page: /user/me/proxy/8650",
    )
    given, console = parser.parse_args(argv), console or Console()
    document.plotly()  # refuses before the work where it is not installed
    if not 0 <= given.port <= 65535:
        raise UserError(f"--port {given.port}: a port is a number from 0 (any free one) to 65535")
    token = secrets.token_urlsafe(24) if given.token == "" else given.token
    shelf = Shelf(folder(given.folder))
    try:
        server = Server(
            shelf,
            host=given.host,
            port=given.port,
            token=token,
            names=given.name,
            base=given.base_path,
        )
    except OSError as error:
        raise UserError(
            f"{given.host}:{given.port} cannot be served on ({error.strerror}); "
            "another one: --port 0"
        ) from error
    words = f"{len(shelf.runs())} runs of {shelf.root}/ at {server.url}"
    console.print(Text(words), soft_wrap=True)
    console.print(Text("ctrl-c ends it", style="dim"))
    ended = threading.Event()
    threading.Thread(target=read_ahead, args=(shelf, ended), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        console.print()
    finally:
        ended.set()
        server.server_close()


def report(argv: Sequence[str], console: Console | None = None) -> None:
    """Write the report. UserError where there is nothing to report on."""
    from fxformer.dashboard.report import write

    parser = argparse.ArgumentParser(
        prog="fxformer report",
        description=("The dashboard as one self-contained file, which opens with the network off."),
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="DIR|RUN",
        help="a folder of runs, or runs by folder, name or its beginning",
    )
    parser.add_argument("-o", "--output", default="report.html", metavar="FILE")
    parser.add_argument("--root", default="runs", help="the folder in which runs are looked up")
    parser.add_argument(
        "--look",
        nargs=2,
        action="append",
        default=[],
        metavar=("RUN", "TEXT"),
        help="show the attention of a text too, at every checkpoint of the run",
    )
    given, console = parser.parse_args(argv), console or Console()
    document.plotly()  # refuses before the work where it is not installed
    output = check_output(given.output, "--output", stream=False)
    shelf = chosen(given.what or [given.root], given.root)
    looks = [look_into(shelf, run, {"text": text}) for run, text in given.look]
    shelf.points = max(40, min(600, 12_000 // max(1, len(shelf.runs()))))  # for tens of MB at most
    with console.status("writing the report …"):
        size = write(shelf, output, looks)
    words = f"{len(shelf.runs())} runs, {formatting.si(size, 'B')}: {given.output}"
    console.print(Text(words), soft_wrap=True)


def attention(argv: Sequence[str], console: Console | None = None) -> None:
    """Write what a run looks at in some texts. UserError where it cannot."""
    from fxformer.dashboard.report import write

    parser = argparse.ArgumentParser(
        prog="fxformer attention",
        description=(
            "What every head of a run looks at, and what the model answers, as one self-contained "
            "file that opens with the network off."
        ),
    )
    parser.add_argument("run", metavar="RUN", help="folder, name or its beginning")
    parser.add_argument("--text", action="append", default=[], help="a text; <mask> is the mask")
    parser.add_argument(
        "--target",
        default="",
        help="what the decoder of a seq2seq model reads; without it, what the model writes itself",
    )
    parser.add_argument(
        "--held-out",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="a text that the run has held out, from 0",
    )
    parser.add_argument("--spoil", action="store_true", help="as the objective does, first")
    parser.add_argument(
        "--checkpoint",
        default="last",
        metavar="N|all",
        help="a step, several with commas, all, or last (the default)",
    )
    parser.add_argument("--root", default="runs", help="the folder in which the run is looked up")
    parser.add_argument("-o", "--output", default="attention.html", metavar="FILE")
    given, console = parser.parse_args(argv), console or Console()
    document.plotly()  # refuses before the work where it is not installed
    more = {"target": given.target} if given.target else {}
    more |= {"spoil": "1"} if given.spoil else {}
    asked = [{"text": text} | more for text in given.text]
    asked += [{"example": str(number)} for number in given.held_out]
    if not asked:
        raise UserError("write what to look at: --text 'some words', or --held-out 0")
    output = check_output(given.output, "--output", stream=False)
    shelf = chosen([given.run], given.root)
    looks = [look_into(shelf, given.run, one, given.checkpoint) for one in asked]
    with console.status(f"reading {sum(len(look.steps) for look in looks)} times …"):
        size = write(shelf, output, looks, first="attention")
    console.print(Text(f"{formatting.si(size, 'B')}: {given.output}"), soft_wrap=True)


def look_into(shelf: Shelf, which: str, asked: dict[str, str], checkpoint: str = "all") -> Look:
    """A text to be shown of the run of this name, at the checkpoints that the word means."""
    found = find(shelf.root, which).folder.resolve()
    keys = [key for key, run in shelf.runs().items() if run.folder.resolve() == found]
    if not keys:
        raise UserError(f"{which} is not among the runs of this report: name it there too")
    return Look(keys[0], steps(shelf.run(keys[0]), checkpoint), asked)


def folder(path: str) -> Path:
    """`path` if it is a folder. UserError where it is none."""
    if not Path(path).is_dir():
        raise UserError(
            f"there is no folder {path}; `fxformer train` makes runs/, and "
            "`fxformer dashboard FOLDER` looks elsewhere"
        )
    return Path(path)


def chosen(what: Sequence[str], root: str) -> Shelf:
    """The runs that the words mean: one folder of runs, or runs."""
    if len(what) == 1 and Path(what[0]).is_dir() and not (Path(what[0]) / "run.json").exists():
        return Shelf(what[0])
    if what == [root] and not runs(root):
        return Shelf(root)
    some = [find(root, one).folder for one in what]
    parents = {path.resolve().parent for path in some}
    inside = all(path.resolve().is_relative_to(Path(root).resolve()) for path in some)
    if inside:
        return Shelf(root, some)
    if len(parents) > 1:
        raise UserError(
            "these runs lie in different folders: name one with --root, or report on each folder"
        )
    return Shelf(some[0].parent, some)
