"""`fxformer heads MODEL`: importance of attention heads on texts, export without some of them."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from fxformer.arguments import RUN, Parser
from fxformer.errors import UserError
from fxformer.files import check_output
from fxformer.track import formatting

if TYPE_CHECKING:
    from fxformer.inference.interpret.head_importance import HeadImportance
    from fxformer.inference.pipelines.cost import Spent

SHOWN = 10  # heads of the table, from each end


def heads_parser() -> Parser:
    """The arguments of `fxformer heads`."""
    parser = Parser(
        "heads",
        "Measure how much each attention head matters for the loss of texts (Michel et al. 2019): "
        "by gradient, |∂ loss / ∂ factor of the head's output|, and with --ablation by the loss "
        "without it. --prune writes the model without the least important heads.",
        examples=[
            ("RUN --texts valid.txt --ablation", "one text a line"),
            ("RUN --texts source.txt --targets target.txt", "an encoder-decoder"),
            (
                "RUN --texts valid.txt --prune 4 -o DIR --cut",
                "without four heads, for transformers",
            ),
        ],
    )
    parser.add_argument("model", metavar="MODEL", help=f"{RUN}, a Hugging Face folder or id")
    parser.add_argument("--texts", required=True, metavar="FILE", help="one text a line")
    parser.add_argument("--targets", metavar="FILE", help="of an encoder-decoder, one a line")
    parser.add_argument(
        "--labels", metavar="FILE", help="classes of the texts, one a line: their loss instead"
    )
    parser.add_argument("--limit", type=int, default=64, metavar="N", help="texts at most (64)")
    parser.add_argument("--step", type=int, help="checkpoint of a run (default: the last)")
    parser.add_argument(
        "--ablation", action="store_true", help="also the loss without each head, one pass for each"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the masks of an encoder's texts (0)"
    )
    parser.add_argument("--json", metavar="FILE", help="all numbers, with intervals and joules")
    parser.add_argument(
        "--prune",
        type=int,
        default=0,
        metavar="N",
        help="write the model without the N least heads",
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="a new folder for --prune")
    parser.add_argument(
        "--cut",
        action="store_true",
        help="cut the heads from the weights, with pruned_heads in config.json (BERT-like models "
        "in transformers 4); else their output is zero",
    )
    return parser


def heads_command(argv: Sequence[str], console: Console | None = None) -> None:
    """Measure, print, write. Raises UserError."""
    given, console = heads_parser().parse(argv), console or Console()
    _check(given)
    texts, targets, labels = read_examples(given)
    from fxformer.inference.load import load
    from fxformer.inference.pipelines.cost import charged, open_meter

    with console.status("reading the model …"):
        model = load(given.model, given.step, runs=given.runs)
    meter = open_meter()
    with console.status("measuring …"), charged(meter) as spent:
        found = model.head_importance(
            texts, targets, labels=labels, ablation=given.ablation, seed=given.seed
        )
    show(found, spent, meter.provenance, console)
    if given.json is not None:
        text = json.dumps(facts(found, spent, meter.provenance), indent=1) + "\n"
        Path(given.json).expanduser().write_text(text, encoding="utf-8")
    if given.prune:
        least = found.least(given.prune, "ablation" if given.ablation else "gradient")
        made = model.without_heads(least).save_pretrained(
            Path(given.output).expanduser(), heads="cut" if given.cut else "zero"
        )
        names = ", ".join(f"{kind} {block + 1}.{head + 1}" for kind, block, head in least)
        how = "cut" if given.cut else "set to zero"
        console.print(f"{how}: {names} -> {made.folder}", highlight=False, soft_wrap=True)
        for caveat in made.caveats:
            console.print(f"warning: {caveat}", highlight=False, markup=False, soft_wrap=True)


def _check(given: argparse.Namespace) -> None:
    if given.json is not None:
        check_output(given.json, "--json")
    if given.limit < 1 or given.prune < 0:
        name, value = ("limit", given.limit) if given.limit < 1 else ("prune", given.prune)
        raise UserError(f"--{name} {value}: expected a number of {'texts' if value else 'heads'}")
    if bool(given.prune) != bool(given.output):
        raise UserError("--prune N and --output DIR go together: write both")
    if given.cut and not given.prune:
        raise UserError("--cut: of the heads that --prune N removes; write --prune N too")


def read_examples(
    given: argparse.Namespace,
) -> tuple[list[str], list[str] | None, list[int] | None]:
    """(texts, targets, labels) of the first lines whose text is not blank, --limit at most.

    Raises UserError where there is none, and where the files do not have a line for each other's.
    """
    files = {
        f"--{name}": getattr(given, name)
        for name in ("texts", "targets", "labels")
        if getattr(given, name)
    }
    lines = {option: read_lines(file, option) for option, file in files.items()}
    texts = lines["--texts"]
    chosen = [number for number, line in enumerate(texts) if line.strip()][: given.limit]
    if not chosen:
        raise UserError(f"--texts {given.texts} has no text; write one a line")
    for option, found in lines.items():
        if len(found) != len(texts):
            raise UserError(
                f"{option} {files[option]} has {len(found)} lines and --texts {given.texts} has "
                f"{len(texts)}: write one for each text"
            )
        if blank := [number for number in chosen if not found[number].strip()]:
            raise UserError(f"{option} {files[option]}, line {blank[0] + 1}: is blank")
    kept = {option: [found[number] for number in chosen] for option, found in lines.items()}
    labels = kept.get("--labels")
    for number, line in zip(chosen, labels or (), strict=False):
        if not line.strip().isdigit():
            raise UserError(
                f"--labels {given.labels}, line {number + 1}: expected a class number: {line!r}"
            )
    classes = None if labels is None else [int(line) for line in labels]
    return kept["--texts"], kept.get("--targets"), classes


def read_lines(file: str, option: str) -> list[str]:
    """The lines of a text file. UserError where it cannot be read."""
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{option} {file} cannot be read: {error}") from None
    return text.removesuffix("\n").split("\n")


def show(found: "HeadImportance", spent: "Spent", provenance: str, console: Console) -> None:
    """The most and the least important heads, and what measuring cost."""
    methods = ["gradient"] + ["ablation"] * bool(found.ablations)
    table = Table(title=f"importance of heads on {len(found.losses)} texts, nats")
    for name in ("head", *(f"by {method}, 95 % interval" for method in methods)):
        table.add_column(name, justify="left" if name == "head" else "right")
    count = sum(x[0].size for x in found.gradients.values())
    order = found.least(count, methods[-1])[::-1]
    for place, (kind, block, head) in enumerate(order):
        if place == SHOWN and count > 2 * SHOWN:
            table.add_row("…", *[""] * len(methods))
        if SHOWN <= place < count - SHOWN:
            continue
        cells = [_cell(found, method, kind, block, head) for method in methods]
        table.add_row(f"{kind} {block + 1}.{head + 1}", *cells)
    console.print(table)
    console.print(
        f"loss {found.losses.mean():.4f} nats; {formatting.si(spent.joules, 'J')} ({provenance}), "
        f"{spent.seconds:.1f} s, of which {spent.compile_seconds:.1f} s compiling",
        highlight=False,
        soft_wrap=True,
    )


def _cell(found: "HeadImportance", method: str, kind: Any, block: int, head: int) -> str:
    one = found.interval(method, kind, block, head)
    if one.low is None or one.high is None:
        return f"{one.mean:.4g}"
    return f"{one.mean:.4g} ({one.low:.3g} to {one.high:.3g})"


def facts(found: "HeadImportance", spent: "Spent", provenance: str) -> dict[str, Any]:
    """For JSON: mean and interval of each head; layers and heads count from 0."""
    heads = []
    for kind, block, head in found.least(sum(x[0].size for x in found.gradients.values())):
        row: dict[str, Any] = {"kind": kind, "block": block, "head": head}
        for method in ["gradient"] + ["ablation"] * bool(found.ablations):
            one = found.interval(method, kind, block, head)
            row[method] = {"mean": one.mean, "low": one.low, "high": one.high}
        heads.append(row)
    return {
        "examples": len(found.losses),
        "loss": float(found.losses.mean()),
        "heads": heads,
        "joules": spent.joules,
        "seconds": spent.seconds,
        "compile_seconds": spent.compile_seconds,
        "provenance": provenance,
    }
