"""`fxformer evaluate`: a fine-tuned model on its task, or a model on a suite of tasks."""

import argparse
from collections.abc import Sequence

from fxformer.arguments import RUN, Parser
from fxformer.errors import UserError
from fxformer.files import check_output


def evaluate(argv: Sequence[str]) -> None:
    """Evaluate as `argv` says. UserError for what cannot be; SystemExit with another exit code."""
    given = evaluate_parser().parse(argv)
    files = {"json": given.json, "markdown": given.markdown, "html": given.output}
    for kind, file in files.items():
        if file:
            check_output(file, "-o" if kind == "html" else f"--{kind}")
    if not any(word.startswith("suite=") for word in given.overrides):
        return _on_its_task(given)
    only_task = {"--split": given.split, "--step": given.step, "--metric": given.metric}
    for option, value in (only_task | {"--task": given.task}).items():
        if value:
            raise UserError(f"{option} is for an evaluation without a suite; leave it out")
    from fxformer.cli.evaluate_suite import SuiteCommand, run

    command = SuiteCommand.parse(given.model, given.overrides, given.runs)
    if code := run(command, argv, files):
        raise SystemExit(code)


def _on_its_task(given: argparse.Namespace) -> None:
    """Evaluate a model that was fine-tuned on a task."""
    if given.model is None:
        raise UserError(
            "evaluate: name a model, as in fxformer evaluate RUN, and a suite to fine-tune it on, "
            "as in fxformer evaluate RUN suite=mini"
        )
    for option, file in (("--markdown", given.markdown), ("-o", given.output)):
        if file:
            raise UserError(f"{option} {file}: only a suite has a page; write --json {file}")
    from fxformer.cli.evaluate_task import run

    run(
        given.model,
        given.overrides,
        given.runs,
        split=given.split,
        step=given.step,
        metrics=given.metric,
        task=given.task,
        file=given.json,
    )


def evaluate_parser() -> Parser:
    """The arguments of `fxformer evaluate`."""
    parser = Parser(
        "evaluate",
        "Evaluate a fine-tuned model on its test or validation rows, or on data.files=. With "
        "suite=: fine-tune a model on every task of a suite, as one search over tasks and seeds, "
        "and write a table and a page of scores with intervals, joules and minutes; the same "
        "command continues it.",
        examples=[
            ("RUN", "a fine-tuned run on its own test or validation rows"),
            ("RUN data.files=test.csv --metric matthews", "on other rows, with a further metric"),
            ("RUN suite=mini", "offline tasks of some minutes"),
            ("RUN suite=mini suite.seeds=1 suite.tasks=[topic]", "one task, one seed"),
            ("DIR suite=glue data.root=glue_data", "GLUE, five seeds each"),
            ("suite=mini model=bert size=tiny", "the same tasks without pretraining"),
        ],
        overrides="suite=NAME or FILE.yaml, suite.seeds=N, suite.tasks=[…], suite.strict=true, "
        "data.root=FOLDER, and any key of fxformer train, which goes before the suite's own; "
        "without a suite: options of data=labelled",
    )
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help=f"{RUN}; a Hugging Face folder or hub id"
    )
    parser.add_argument("--split", choices=("valid", "test"), help="of the run's own data")
    parser.add_argument("--step", metavar="N", help="of the checkpoint, or best (the last one)")
    parser.add_argument(
        "--metric", action="append", default=[], metavar="NAME", help="a further metric; repeatable"
    )
    parser.add_argument("--task", metavar="NAME", help="of a Hugging Face folder that has several")
    parser.add_argument("--json", metavar="FILE", help="results as JSON")
    parser.add_argument("--markdown", metavar="FILE", help="the table of a suite as Markdown")
    parser.add_argument("-o", "--output", metavar="FILE", help="the page of a suite")
    return parser
