"""The command lines of `fxformer import` and `fxformer export`."""

import json
import sys
from pathlib import Path

from rich.console import Console

from fxformer.errors import UserError
from fxformer.files import check_output

IMPORT = """write fxformer import DIR, a folder with config.json and model.safetensors, or a hub id
  name=NAME          of the run
  runs=FOLDER        that holds the runs (runs)
  ignore=FIELD,...   fields of config.json that are known to change nothing
  --json [FILE]      the conversion report as JSON, to FILE or instead of the table
  GROUP.KEY=VALUE    anything of the run's config, e.g. model/classifiers=classes for a new head"""
EXPORT = """write fxformer export RUN DIR: a run's folder, or the first letters of its name
  family=NAME        the model_type to be, where several compute the same
  averaged=false     the weights themselves, not their moving average
  runs=FOLDER        that holds the runs (runs)"""


HELP = ("--help", "-h")


class Usage(UserError):
    """A command line that does not say what to do."""


def words(argv: list[str], knobs: dict[str, str | None]) -> tuple[list[str], dict, list[str]]:
    """(plain words, values of `knobs`, the rest: overrides) of a command line."""
    plain, rest, found = [], [], dict(knobs)
    queue = list(argv)
    while queue:
        word = queue.pop(0)
        key, given, value = word.partition("=")
        if key == "--json":
            follows = not given and queue and queue[0].endswith(".json")
            found["json"] = value if given else queue.pop(0) if follows else "-"
        elif given and key in knobs:
            found[key] = value
        elif given:
            rest.append(word)
        elif word.startswith("-"):
            raise Usage(f"there is no option {word}")
        else:
            plain.append(word)
    return plain, found, rest


def import_(argv: list[str], console: Console | None = None) -> None:
    """Run `fxformer import ARGV` and print the conversion report. Raises UserError."""
    if set(argv) & set(HELP):
        print(IMPORT)
        return
    knobs = {"name": None, "runs": "runs", "ignore": None, "json": None}
    plain, given, overrides = words(argv, knobs)
    if len(plain) != 1:
        raise Usage(IMPORT)
    if given["json"] not in (None, "-"):
        check_output(given["json"], "--json")
    from fxformer.hf import conversion_report
    from fxformer.hf.hub import folder_of
    from fxformer.hf.import_model import import_model

    console = console or Console()
    made = import_model(
        folder_of(plain[0]),
        name=given["name"] or plain[0].rstrip("/").rpartition("/")[2],
        runs=given["runs"],
        ignore=[field for field in (given["ignore"] or "").split(",") if field],
        overrides=overrides,
    )
    if given["json"]:
        text = json.dumps(
            {
                "run": str(made.folder),
                "architecture": made.published.form.architecture,
                "parameters": made.parameters,
                "tensors": conversion_report.as_json(made.lines),
            },
            indent=1,
        )
        if given["json"] == "-":
            sys.stdout.write(text + "\n")
            return
        Path(given["json"]).expanduser().write_text(text + "\n", encoding="utf-8")
    conversion_report.show(made.lines, console)
    words_ = f"{made.published.form.architecture}, {made.parameters:,} parameters -> {made.folder}"
    console.print(words_, highlight=False, soft_wrap=True)
    console.print(
        f"train from it: fxformer train warm_start.from={made.folder}",
        highlight=False,
        soft_wrap=True,
    )


def export(argv: list[str], console: Console | None = None) -> None:
    """Run `fxformer export ARGV`. Raises UserError."""
    if set(argv) & set(HELP):
        print(EXPORT)
        return
    knobs = {"family": None, "runs": "runs", "averaged": "true"}
    plain, given, rest = words(argv, knobs)
    if len(plain) != 2 or rest or given["averaged"] not in ("true", "false"):
        raise Usage(EXPORT)
    from fxformer.hf.export_model import export_model
    from fxformer.track.run_reader import find

    made = export_model(
        find(given["runs"], plain[0]),
        plain[1],
        family=given["family"],
        averaged=given["averaged"] == "true",
    )
    numbers = sum(array.size for array in made.tensors.values())
    console = console or Console()
    console.print(
        f"{made.architecture}, {len(made.tensors)} tensors of {numbers:,} numbers -> "
        f"{made.folder}: {', '.join(made.files)}",
        highlight=False,
        soft_wrap=True,
    )
    for caveat in made.caveats:
        console.print(f"warning: {caveat}", highlight=False, markup=False, soft_wrap=True)
