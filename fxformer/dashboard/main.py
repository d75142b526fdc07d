"""The commands `fxformer dashboard`, `fxformer report` and `fxformer attention`."""

import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fxformer.arguments import RUN, Parser
from fxformer.dashboard import document
from fxformer.dashboard.api_inspect import EmbeddedText, steps
from fxformer.dashboard.indexing import read_ahead
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.files import check_output
from fxformer.track import formatting
from fxformer.track.run_reader import find

PORT = 8650


def dashboard(argv: Sequence[str], console: Console | None = None) -> None:
    """Serve a folder of runs until interrupted. UserError for a bad folder, address or port."""
    from fxformer.dashboard.server import Server

    given, console = dashboard_parser().parse(argv), console or Console()
    document.plotly()  # fails early where it is not installed
    if not 0 <= given.port <= 65535:
        raise UserError(f"--port {given.port}: expected a port from 0 (any free one) to 65535")
    token = secrets.token_urlsafe(24) if given.token == "" else given.token
    index = RunIndex(folder(given.runs), model_folders=model_folders(given.model))
    try:
        server = Server(
            index,
            host=given.host,
            port=given.port,
            token=token,
            names=given.name,
            base=given.base_path,
        )
    except OSError as error:
        raise UserError(
            f"cannot listen on {given.host}:{given.port} ({error.strerror}); "
            "use any free port: --port 0"
        ) from error
    text = f"{formatting.plural(len(index.runs()), 'run')} of {index.root}/ at {server.url}"
    console.print(Text(text), soft_wrap=True)
    console.print(Text("Ctrl-C to stop", style="dim"))
    ended = threading.Event()
    threading.Thread(target=read_ahead, args=(index, ended), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        console.print()
    finally:
        ended.set()
        server.server_close()


def model_folders(paths: Sequence[str]) -> dict[str, Path]:
    """{name: Hugging Face folder} of --model. UserError for one that is no such folder on disk."""
    found: dict[str, Path] = {}
    for path in paths:
        one = Path(path).expanduser()
        if not (one / "config.json").is_file():
            raise UserError(
                f"--model {path}: expected a folder with config.json and model.safetensors"
                "; nothing is downloaded"
            )
        one = one.resolve()
        name = one.name if one.name not in found else f"{one.parent.name}/{one.name}"
        if name in found:
            raise UserError(f"--model {path}: another model has the name {name}; rename its folder")
        found[name] = one
    return found


def report(argv: Sequence[str], console: Console | None = None) -> None:
    """Write a report. UserError without any run."""
    from fxformer.dashboard.report import write

    given, console = report_parser().parse(argv), console or Console()
    document.plotly()  # fails early where it is not installed
    output = check_output(given.output, "--output", stream=False)
    index = selected(given.run, given.runs)
    texts = [embedded_text(index, run, {"text": text}) for run, text in given.attention]
    index.points = max(
        40, min(600, 12_000 // max(1, len(index.runs())))
    )  # limits the file to tens of MB
    with console.status("writing the report …"):
        size = write(index, output, texts)
    text = (
        f"{formatting.plural(len(index.runs()), 'run')}, {formatting.si(size, 'B')}: {given.output}"
    )
    console.print(Text(text), soft_wrap=True)


def attention(argv: Sequence[str], console: Console | None = None) -> None:
    """Write attention weights and predictions of a run for texts. UserError for a bad text."""
    from fxformer.dashboard.report import write

    given, console = attention_parser().parse(argv), console or Console()
    document.plotly()  # fails early where it is not installed
    more = {"target": given.target} if given.target else {}
    more |= {"corrupt": "1"} if given.corrupt else {}
    requests = [{"text": text} | more for text in given.text]
    requests += [{"example": str(number)} for number in given.held_out]
    if not requests:
        raise UserError("no text is given: write --text 'some words', or --held-out 0")
    output = check_output(given.output, "--output", stream=False)
    index = selected([given.run], given.runs)
    texts = [embedded_text(index, given.run, one, given.checkpoint, given.flow) for one in requests]
    with console.status("computing attention weights …"):
        size = write(index, output, texts, first="attention")
    console.print(Text(f"{formatting.si(size, 'B')}: {given.output}"), soft_wrap=True)


def embedded_text(
    index: RunIndex, which: str, params: dict[str, str], checkpoint: str = "all", flow: bool = False
) -> EmbeddedText:
    """A text to embed for the run named `which`, at checkpoints as in `steps`, with its attention
    flow or without."""
    found = find(index.root, which).folder.resolve()
    keys = [key for key, run in index.runs().items() if run.folder.resolve() == found]
    if not keys:
        raise UserError(f"{which} is not among the runs of this report: name it as a RUN too")
    return EmbeddedText(keys[0], steps(index.run(keys[0]), checkpoint), params, flow)


def folder(path: str) -> Path:
    """`path` as a folder. UserError if it is none."""
    if not Path(path).is_dir():
        raise UserError(
            f"there is no folder {path}; `fxformer train` creates runs/; "
            "runs=FOLDER names another folder"
        )
    return Path(path)


def selected(names: Sequence[str], root: str) -> RunIndex:
    """The index of the runs with these names, or of all runs of the folder `root` without names."""
    if not names:
        return RunIndex(root)
    found = [find(root, one).folder for one in names]
    parents = {path.resolve().parent for path in found}
    inside = all(path.resolve().is_relative_to(Path(root).resolve()) for path in found)
    if inside:
        return RunIndex(root, found)
    if len(parents) > 1:
        raise UserError("these runs lie in different folders: report on each folder with runs=")
    return RunIndex(found[0].parent, found)


def dashboard_parser() -> Parser:
    """The arguments of `fxformer dashboard`."""
    parser = Parser(
        "dashboard",
        "Serve a page over all runs of a folder, live while runs go on: curves, energy, searches. "
        "Nothing leaves the machine.",
        examples=[
            ("", f"http://127.0.0.1:{PORT}/"),
            ("runs=/data/runs --port 0", "another folder, any free port"),
            ("--token", "with a password, where others share the machine"),
        ],
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"0: any free one ({PORT})")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; any but this one needs --token"
    )
    parser.add_argument(
        "--token",
        nargs="?",
        const="",
        help="password that the address must hold; one is drawn where no value is given",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="FOLDER",
        help="a Hugging Face folder to try in the playground; may be given again",
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
        help="path at which a proxy serves the page: /user/me/proxy/8650",
    )
    return parser


def report_parser() -> Parser:
    """The arguments of `fxformer report`."""
    parser = Parser(
        "report",
        "Write the dashboard as one self-contained HTML file, which opens without a network.",
        examples=[
            ("", "all runs, into report.html"),
            ("bert gpt2 -o two.html", "two runs"),
            ("--attention bert 'a <mask> in it'", "with the attention weights on a text"),
        ],
    )
    parser.add_argument("run", nargs="*", metavar="RUN", help=f"{RUN}; all where none is given")
    parser.add_argument(
        "-o", "--output", default="report.html", metavar="FILE", help="to write (report.html)"
    )
    parser.add_argument(
        "--attention",
        nargs=2,
        action="append",
        default=[],
        metavar=("RUN", "TEXT"),
        help="show the attention weights on a text too, at every checkpoint of the run",
    )
    return parser


def attention_parser() -> Parser:
    """The arguments of `fxformer attention`."""
    parser = Parser(
        "attention",
        "Write the attention weights of every head of a run, queries and keys, attention rollout, "
        "the logit lens and the model's predictions for a text, as one self-contained HTML file, "
        "which opens without a network.",
        examples=[
            ("bert --text 'a <mask> in it'", "a text; <mask> is the mask token"),
            ("bart --held-out 0 --corrupt --checkpoint all", "a held-out text, at all checkpoints"),
        ],
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument(
        "--text", action="append", default=[], help="a text; <mask> is the mask token"
    )
    parser.add_argument(
        "--target",
        default="",
        help="the decoder's input of a seq2seq model; what the model generates where not given",
    )
    parser.add_argument(
        "--held-out",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="number of a text of the run's held-out split, from 0",
    )
    parser.add_argument(
        "--corrupt", action="store_true", help="corrupt the text as the run's objective does"
    )
    parser.add_argument(
        "--flow", action="store_true", help="with attention flow, which is slow (40 tokens at most)"
    )
    parser.add_argument(
        "--checkpoint",
        default="last",
        metavar="STEP|all",
        help="a step, several with commas, all, or last (last)",
    )
    parser.add_argument(
        "-o", "--output", default="attention.html", metavar="FILE", help="to write (attention.html)"
    )
    return parser
