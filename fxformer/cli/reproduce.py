"""`fxformer reproduce NAME`: the study of a published claim and its verdict; the list of claims."""

from collections.abc import Sequence

from fxformer.arguments import Parser
from fxformer.cli.argv import is_of
from fxformer.errors import UserError

# Overrides with which a study is still the study that is recorded.
NO_DESIGN = ("search", "energy", "tracker", "data.files", "data.valid_files")


def reproduce_parser() -> Parser:
    """The arguments of `fxformer reproduce`."""
    parser = Parser(
        "reproduce",
        "Run the study of a published claim (experiments/NAME/study.yaml): all arms and seeds as "
        "one search, which the same command continues; then print the verdict, each effect with "
        "its interval beside the published one, the controls, joules and minutes. A claim is "
        "reproduced only where every analysis holds and every control fails. Without NAME: list "
        "the claims with their recorded verdicts. Exit code 0: reproduced; 5: not reproduced; 6: "
        "inconclusive (too few seeds, or an interval too wide); 75: interrupted, the same command "
        "continues.",
        examples=[
            ("", "the claims, their recorded verdicts and cost"),
            ("prenorm_gradients", "the whole study"),
            ("prenorm_gradients --quick", "fewer seeds or steps; minutes"),
            ("prenorm_gradients --record", "and write its expected.yaml and figure.svg"),
            ("--all", "docs/claims.md and runs/claims.html of the recorded studies"),
        ],
        overrides="options of fxformer train for all runs, as data.files=FILE or search.workers=2",
    )
    parser.add_argument(
        "claim", nargs="?", metavar="NAME", help="a folder of experiments/ with a study.yaml"
    )
    parser.add_argument("--quick", action="store_true", help="the quick variant of the study")
    parser.add_argument(
        "--record",
        action="store_true",
        help="write the result into expected.yaml; not with --quick",
    )
    parser.add_argument(
        "--all", action="store_true", help="write docs/claims.md and a page of all recorded studies"
    )
    parser.add_argument("--figure", metavar="FILE", help="the figure as FILE.svg or FILE.pdf")
    parser.add_argument("--json", metavar="FILE", help="findings and verdict as JSON")
    return parser


def reproduce(argv: Sequence[str]) -> None:
    """Reproduce as `argv` says. UserError for what cannot be; SystemExit with the exit code."""
    given = reproduce_parser().parse(argv)
    of_one = given.quick or given.record or given.json or given.figure or given.overrides
    if given.claim is None and of_one:
        raise UserError("reproduce: name the claim, as in fxformer reproduce NAME --quick")
    if given.claim is not None and given.all:
        raise UserError(f"--all: is for all claims; leave {given.claim} out")
    if given.record:
        changed = [word for word in given.overrides if not is_of(word, *NO_DESIGN)]
        changed = ["--quick"] if given.quick else changed
        if changed:
            raise UserError(f"--record: is for the study as it stands; leave {changed[0]} out")
    from fxformer.cli import claims

    if given.claim is None:
        return claims.write_all(given.runs) if given.all else claims.list_claims()
    if code := claims.reproduce_claim(given, argv):
        raise SystemExit(code)
