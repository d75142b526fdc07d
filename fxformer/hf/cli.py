"""The verbs `fxformer import` and `fxformer export`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fxformer.arguments import RUN, Parser
from fxformer.files import check_output


def import_parser() -> Parser:
    """The arguments of `fxformer import`."""
    parser = Parser(
        "import",
        "Make a run of a published checkpoint: a folder with config.json and model.safetensors, or "
        "a model id of the Hugging Face hub.",
        overrides="a key of the run's config, as for `fxformer train`; name=NAME names the run",
        examples=[
            ("google-bert/bert-base-uncased", "from the hub (pip install 'fxformer[hf]')"),
            ("DIR name=mine --json report.json", "from a folder; the report as JSON"),
            ("DIR model/task_head=classification", "with a new classification head"),
        ],
    )
    parser.add_argument("folder", metavar="DIR", help="the folder, or the id")
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FIELD,...",
        help="fields of config.json that are known to change nothing",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="the report of all tensors as JSON; -: to the terminal"
    )
    return parser


def import_(argv: Sequence[str], console: Console | None = None) -> None:
    """`fxformer import`: import and print the conversion report. Raises UserError."""
    given, console = import_parser().parse(argv), console or Console()
    if given.json not in (None, "-"):
        check_output(given.json, "--json")
    from fxformer.hf import conversion_report
    from fxformer.hf.hub import folder_of
    from fxformer.hf.import_model import import_model

    names = [word.partition("=")[2] for word in given.overrides if word.startswith("name=")]
    made = import_model(
        folder_of(given.folder),
        name=names[-1] if names else given.folder.rstrip("/").rpartition("/")[2],
        runs=given.runs,
        ignore=[field for words in given.ignore for field in words.split(",") if field],
        overrides=[word for word in given.overrides if not word.startswith("name=")],
    )
    if given.json:
        text = json.dumps(
            {
                "run": str(made.folder),
                "architecture": made.published.variant.architecture,
                "parameters": made.parameters,
                "tensors": conversion_report.as_json(made.lines),
            },
            indent=1,
        )
        if given.json == "-":
            sys.stdout.write(text + "\n")
            return
        Path(given.json).expanduser().write_text(text + "\n", encoding="utf-8")
    conversion_report.show(made.lines, console)
    architecture = made.published.variant.architecture
    for line in (
        f"{architecture}, {made.parameters:,} parameters -> {made.folder}",
        f"train from it: fxformer train warm_start.from={made.folder}",
    ):
        console.print(line, highlight=False, soft_wrap=True)


def export_parser() -> Parser:
    """The arguments of `fxformer export`."""
    parser = Parser(
        "export",
        "Write the model of a run as a folder that Hugging Face transformers loads: config.json, "
        "model.safetensors and the tokenizer's files.",
        examples=[
            ("last DIR", "the newest run"),
            ("last DIR --family gpt2", "as this family"),
        ],
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument("folder", metavar="DIR", help="a new folder")
    parser.add_argument(
        "--family", metavar="NAME", help="the model_type, where several families compute the same"
    )
    parser.add_argument(
        "--no-ema", action="store_true", help="the weights themselves, not their moving average"
    )
    return parser


def export(argv: Sequence[str], console: Console | None = None) -> None:
    """`fxformer export`. Raises UserError."""
    given, console = export_parser().parse(argv), console or Console()
    from fxformer.hf.export_model import export_model
    from fxformer.track.run_reader import find

    made = export_model(
        find(given.runs, given.run), given.folder, family=given.family, averaged=not given.no_ema
    )
    numbers = sum(array.size for array in made.tensors.values())
    console.print(
        f"{made.architecture}, {len(made.tensors)} tensors of {numbers:,} numbers -> "
        f"{made.folder}: {', '.join(made.files)}",
        highlight=False,
        soft_wrap=True,
    )
    for caveat in made.caveats:
        console.print(f"warning: {caveat}", highlight=False, markup=False, soft_wrap=True)
