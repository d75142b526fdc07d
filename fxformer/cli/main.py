"""The entry point of `fxformer`: picks the verb, runs it, and ends with its exit code."""

import sys
from collections.abc import Callable

from fxformer.cli.verbs import VERBS
from fxformer.energy.host_usage import claim_process

HELP = """usage: fxformer VERB ...

Encoder, decoder and seq2seq transformers in JAX.

verbs:
{verbs}

arguments:
  train, plan and audit compose a config: GROUP=OPTION chooses, GROUP.KEY=VALUE sets
  the other verbs take names of runs and --options
  runs=FOLDER names the folder of the runs, with every verb (default: runs)
  fxformer VERB --help tells the rest

examples:
  fxformer train                                       BART on Python's own documentation
  fxformer train model=bert size=tiny objective=mlm    another model, another objective
  fxformer show last                                   the newest run
"""


def main(argv: list[str]) -> int:
    """Run the verb that argv names; returns the exit code: 0 to 6 or 75."""
    name, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if name in ("--help", "-h", "help"):
        lines = [f"  {name:<11} {verb.summary}" for name, verb in VERBS.items()]
        print(HELP.format(verbs="\n".join(lines)), end="")
        return 0
    if name in ("--version", "-V"):
        from fxformer import __version__

        print(f"fxformer {__version__}")
        return 0
    if name not in VERBS:
        return _refuse(_unknown(name, rest))
    return _in_one_line(lambda: _declare(rest)) or _run(name, rest)


def _declare(argv: list[str]) -> None:
    """Declare the extension packages that a command line names."""
    from fxformer.config import folders, packages

    packages.declare(packages.in_words(argv, folders.experiments_folder()))


def _run(name: str, argv: list[str]) -> int:
    """Run a verb. One that composes a config prints its own errors and returns an exit code."""
    verb = VERBS[name]
    if not verb.parser:
        if {"--help", "-h"} & set(argv):
            return _in_one_line(lambda: _help(name))
        return int(verb.function()(argv))  # type: ignore[call-overload]
    return _in_one_line(lambda: verb.function()(argv))


def _help(verb: str) -> None:
    """Print the help of a verb that composes a config."""
    from fxformer.cli.help_listing import help_text

    print(help_text(verb))


def _in_one_line(act: Callable[[], object]) -> int:
    """0, or 2 where `act` raises what the user can mend, which is printed in one line. A bug is
    raised."""
    try:
        act()
    except BrokenPipeError:  # `fxformer runs | head`
        raise
    except SystemExit as end:  # --help
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:
        from fxformer.cli.errors import refusal

        sentence = refusal(error)
        if sentence is None:
            raise
        return _refuse(sentence)
    return 0


def _refuse(sentence: str) -> int:
    from fxformer.track.formatting import safe

    print(f"fxformer: {safe(sentence, limit=20_000)}", file=sys.stderr)
    return 2


def _unknown(word: str, rest: list[str]) -> str:
    """What to say of a word that should be a verb."""
    from fxformer.config.type_check import nearest

    if "=" in word or word.startswith("-"):
        return f"a verb comes first: write fxformer train {' '.join([word, *rest])}"
    near = nearest(word, VERBS) or f"; there are {', '.join(VERBS)}"
    return f"there is no verb {word!r}{near}"


def entry() -> None:
    """The console script: `main` in a process whose heap suits training."""
    from fxformer.train import signals

    long = sys.argv[1:2] and sys.argv[1] in (
        "train",
        "plan",
        "audit",
        "compare",
        "evaluate",
        "reproduce",
    )
    if long:
        signals.block()  # until there is a handler, also in the process that `retune` executes
    told = {"--help", "-h"} & set(sys.argv[2:])
    # a plan times the steps that training makes
    if sys.argv[1:2] in (["train"], ["plan"]) and not told:
        from fxformer.cli.allocator import retune

        retune(sys.argv[1:])
    claim_process()
    try:
        if long:
            signals.install()
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # `fxformer runs | head`
        sys.stderr.close()
        code = 0
    except KeyboardInterrupt:  # before training had begun: just do it again
        code = 75
    signals.end(code)
