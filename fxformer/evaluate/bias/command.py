"""`fxformer bias MODEL …`: bias audits of models on published data sets."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from fxformer.arguments import RUN, Parser
from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.evaluate.bias.base import BiasAudit, Measured
from fxformer.evaluate.bias.examples import BiasExample
from fxformer.evaluate.bias.report import AuditReport, report
from fxformer.evaluate.bias.table import show
from fxformer.evaluate.compare import keep
from fxformer.files import check_output
from fxformer.track.redact import Redactor

KEPT = ".bias"  # in the folder of the runs
DATA = "data."  # data.root=FOLDER is the key `root` of every audit


def bias_parser() -> Parser:
    """The arguments of `fxformer bias`."""
    parser = Parser(
        "bias",
        "Measure stereotypes of language models on CrowS-Pairs, StereoSet and WinoBias, whose "
        "published files you bring. Several models are compared on the same examples. Sentences "
        "of the files are never printed or written.",
        overrides="a key of the audits, e.g. data.root=FOLDER, examples=200, crows_pairs.tokens=all"
        " (conf/bias)",
        examples=[
            ("last data.root=bias", "all audits; bias/ holds the published files"),
            ("before after --audit crows_pairs data.root=bias", "before and after fine-tuning"),
            ("DIR --audit stereoset --files dev.json --json s.json", "a Hugging Face folder"),
        ],
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="+",
        help=f"{RUN}; a Hugging Face folder or hub id; a .json of published StereoSet scores",
    )
    parser.add_argument(
        "--audit", action="append", metavar="NAME", help="an audit of conf/bias (default: all)"
    )
    parser.add_argument(
        "--files", nargs="+", default=[], metavar="FILE", help="files of the one --audit"
    )
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint of a run (the last)")
    parser.add_argument("--json", metavar="FILE", help="all numbers, and log-odds by example id")
    return parser


def bias_command(argv: Sequence[str], console: Console | None = None) -> list[AuditReport]:
    """Audit, print, write. Raises UserError."""
    given, console = bias_parser().parse(argv), console or Console()
    if given.json is not None:
        check_output(given.json, "--json")
    audits = chosen_audits(given)
    data = [(audit, audit.chosen()) for audit in audits]  # a bad file fails before a model is read
    measured: list[list[Measured]] = [[] for _ in data]
    for which in given.model:
        for found, one in zip(measured, _measure(which, data, given), strict=True):
            found.append(one)
    reports = [report(*pair, found) for pair, found in zip(data, measured, strict=True)]
    for one in reports:
        show(one, console)
    keep(Path(given.runs), _text(reports, rows=False), KEPT)
    if given.json is not None:
        Path(given.json).expanduser().write_text(_text(reports), encoding="utf-8")
    return reports


def _text(reports: Sequence[AuditReport], rows: bool = True) -> str:
    plain = {"audits": [one.plain(rows) for one in reports]}
    return Redactor().text(json.dumps(plain, indent=1)) + "\n"


def _measure(
    which: str, data: Sequence[tuple[BiasAudit, list[BiasExample]]], given: argparse.Namespace
) -> list[Measured]:
    """The measures of a model, or of a file of published scores, for every audit."""
    if which.endswith(".json") and Path(which).is_file():
        return [_published(which, audit, examples) for audit, examples in data]
    from fxformer.inference.load import load

    model = load(which, given.step, runs=given.runs)
    return [audit.measure(model, examples) for audit, examples in data]


def _published(file: str, audit: BiasAudit, examples: Sequence[BiasExample]) -> Measured:
    found = audit.scored_file(file, examples)
    if found is None:
        raise UserError(f"{file}: published scores are of StereoSet; write --audit stereoset")
    return found


def chosen_audits(given: argparse.Namespace) -> list[BiasAudit]:
    """The audits of a command line with their settings. UserError for what is not there."""
    from fxformer.config import folders

    names = [file.stem for file in folders.option_files("bias")]
    wanted = list(dict.fromkeys(given.audit or names))
    for name in wanted:
        if name not in names:
            near = nearest(name, names)
            raise UserError(f"--audit {name}: there are {', '.join(names)}{near}")
    if given.files and len(wanted) != 1:
        raise UserError("--files are of one audit: write --audit NAME too")
    changes = [_split(word) for word in given.overrides]
    nodes = {name: _node(name) for name in wanted}
    for key, value in changes:
        _apply(nodes, key, value)
    return [_built(name, node, given.files) for name, node in nodes.items()]


def _node(name: str) -> Any:
    from fxformer.config.options import composed

    return composed(None, [f"+bias={name}"]).bias


def _apply(nodes: dict[str, Any], key: str, value: Any) -> None:
    """Set a key, AUDIT.KEY or KEY of every audit that has it."""
    from omegaconf import OmegaConf

    audit, _, own = key.partition(".")
    bare = key.removeprefix(DATA)
    targets = {audit: nodes[audit]} if audit in nodes else nodes
    name = own if audit in nodes else bare
    having = [node for node in targets.values() if name in node and not name.startswith("_")]
    if not having:
        keys = sorted({k for node in targets.values() for k in node if not k.startswith("_")})
        near = nearest(name, keys) or f"; there are {', '.join(keys)}"
        raise UserError(f"{key}: no chosen audit has this key{near}")
    for node in having:
        OmegaConf.update(node, name, value)


def _built(name: str, node: Any, files: Sequence[str]) -> BiasAudit:
    from fxformer.config.build import build
    from fxformer.config.check import values

    if files:
        node.files = list(files)
    if wrong := values(node, name):
        raise UserError("\n".join(wrong))
    return build(node)


def _split(word: str) -> tuple[str, Any]:
    key, _, text = word.partition("=")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"{word}: the value is no YAML; quote it") from None
