"""`fxformer evaluate`: a fine-tuned model on its task, or a model on a suite of tasks."""

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
        raise UserError("evaluate: name a suite, as in fxformer evaluate RUN suite=mini")
    from fxformer.cli.evaluate_suite import SuiteCommand, run

    command = SuiteCommand.parse(given.model, given.overrides, given.runs)
    if code := run(command, argv, files):
        raise SystemExit(code)


def evaluate_parser() -> Parser:
    """The arguments of `fxformer evaluate`."""
    parser = Parser(
        "evaluate",
        "Fine-tune a model on every task of a suite, as one search over tasks and seeds, and write "
        "a table and a page of scores with intervals, joules and minutes. The same command "
        "continues it.",
        examples=[
            ("RUN suite=mini", "offline tasks of some minutes"),
            ("RUN suite=mini suite.seeds=1 suite.tasks=[topic,answers]", "some tasks, one seed"),
            ("DIR suite=glue data.root=glue_data", "GLUE, five seeds each"),
            ("suite=mini model=bert size=tiny", "the same without pretraining"),
        ],
        overrides="suite=NAME or FILE.yaml, suite.seeds=N, suite.tasks=[…], suite.strict=true, "
        "data.root=FOLDER, and any key of fxformer train, which goes before the suite's own",
    )
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help=f"{RUN}; a Hugging Face folder or hub id"
    )
    parser.add_argument("--json", metavar="FILE", help="results as JSON, besides the search's own")
    parser.add_argument("--markdown", metavar="FILE", help="the table as Markdown, likewise")
    parser.add_argument("-o", "--output", metavar="FILE", help="the page, likewise")
    return parser
