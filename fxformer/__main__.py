"""The verbs of `fxformer`, one thin function each; whatever is heavy is imported inside."""

import sys

from fxformer.energy.host_usage import claim_process


def train(argv: list[str]) -> int:
    """train a model: groups and keys as in `fxformer train --help`"""
    from fxformer.cli import app

    return app.train(argv)


def audit(argv: list[str]) -> int:
    """measure an objective against its own law: `fxformer audit objective=denoise`"""
    from fxformer.cli import app

    return app.audit(argv)


def show(argv: list[str]) -> int:
    """show RUN: its metrics, samples, energy and where it came from"""
    usage = "write fxformer show RUN, a run's folder or the first letters of its name"
    which, root = (argv, "runs") if argv[1:2] != ["--root"] else (argv[:1], "".join(argv[2:]))
    if which in (["--help"], ["-h"]):
        print(f"{usage}\n  runs=FOLDER        that holds the runs (runs)")
        return 0
    if len(which) != 1:
        return _refuse(usage)
    from fxformer.track.show import show

    return _said(lambda: show(which[0], root=root))


def runs(argv: list[str]) -> int:
    """list the runs of runs=FOLDER; --table and --metrics write them as CSV or Parquet"""
    from fxformer.track.show import main as listed

    return _said(lambda: listed(argv))


def plan(argv: list[str]) -> int:
    """what a run or a sweep will cost: parameters, FLOPs, memory, time, kWh, gCO2e"""
    from fxformer.cli import app

    return app.plan(argv)


def compare(argv: list[str]) -> int:
    """ask runs of any objectives for the same words, at equal tokens, FLOPs or joules"""
    from fxformer.evaluate.compare import main as compared

    return _said(lambda: compared(argv))


def import_(argv: list[str]) -> int:
    """import DIR: a published checkpoint becomes a run"""
    from fxformer.hf import cli

    return _said(lambda: cli.import_(argv))


def export(argv: list[str]) -> int:
    """export RUN DIR: a run becomes a folder that transformers loads"""
    from fxformer.hf import cli

    return _said(lambda: cli.export(argv))


def search(argv: list[str]) -> int:
    """what a search tried, found and cost: search STUDY; without a name, all of them"""
    from fxformer.search.main import main as searched

    return _said(lambda: searched(argv))


def energy(argv: list[str]) -> int:
    """what all runs of a folder used: by run, search, phase and device"""
    from fxformer.track.energy_report import main as spent

    return _said(lambda: spent(argv))


def dashboard(argv: list[str]) -> int:
    """a page over the runs of a folder, live: curves, energy, searches"""
    from fxformer.dashboard.main import dashboard as serve

    return _said(lambda: serve(argv))


def report(argv: list[str]) -> int:
    """the same page as one file that opens with the network off"""
    from fxformer.dashboard.main import report as write

    return _said(lambda: write(argv))


def attention(argv: list[str]) -> int:
    """attention RUN --text "…": what every head looks at, as one file with no network"""
    from fxformer.dashboard.main import attention as write

    return _said(lambda: write(argv))


def completion(argv: list[str]) -> int:
    """print shell completion: eval "$(fxformer completion bash)", also zsh and fish"""
    from fxformer.cli import completion

    return completion.completion(argv, tuple(VERBS))


VERBS = {
    "train": train,
    "plan": plan,
    "audit": audit,
    "compare": compare,
    "search": search,
    "energy": energy,
    "show": show,
    "runs": runs,
    "dashboard": dashboard,
    "report": report,
    "attention": attention,
    "import": import_,
    "export": export,
    "completion": completion,
}

HELP = """fxformer: encoder, decoder and seq2seq transformers in JAX

{verbs}

  fxformer train                                       try it
  fxformer train model=bert size=tiny objective=mlm    choose
  fxformer train --help                                what there is to choose
  runs=FOLDER, with every verb                         where the runs lie (runs)
"""


def main(argv: list[str]) -> int:
    """Run the verb that argv names; returns the exit code: 0, 1, 2, 3, 4 or 75."""
    verb, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if verb in ("--help", "-h", "help"):
        lines = [f"  {name:<11} {verb.__doc__}" for name, verb in VERBS.items()]
        print(HELP.format(verbs="\n".join(lines)), end="")
        return 0
    if verb in ("--version", "-V"):
        from fxformer import __version__

        print(f"fxformer {__version__}")
        return 0
    if verb not in VERBS:
        return _refuse(_unknown(verb))
    from fxformer.cli.folder import told

    return _said(lambda: _declare(rest)) or VERBS[verb](told(verb, _plain(verb, rest)))


def _declare(argv: list[str]) -> None:
    """Declare the extension packages that a command line names."""
    from fxformer.config import folders, packages

    packages.declare(packages.in_words(argv, folders.experiments_folder()))


def _plain(verb: str, argv: list[str]) -> list[str]:
    """`argv` without `packages=`, which only the verbs that compose a config take as a key."""
    composed = verb in ("train", "plan", "audit")
    return [word for word in argv if composed or not word.startswith("packages=")]


def _refuse(sentence: str) -> int:
    from fxformer.track.formatting import safe

    print(f"fxformer: {safe(sentence, limit=20_000)}", file=sys.stderr)
    return 2


def _said(act) -> int:
    """Run `act`; what the user can mend is printed in one line, a bug with its traceback."""
    try:
        act()
    except BrokenPipeError:  # `fxformer runs | head`
        raise
    except Exception as error:
        from fxformer.cli.errors import refusal

        sentence = refusal(error)
        if sentence is None:
            raise
        return _refuse(sentence)
    return 0


def _unknown(verb: str) -> str:
    from fxformer.config.type_check import nearest

    if "=" in verb:  # an override without its verb
        return f"write fxformer train {verb} …"
    near = nearest(verb, VERBS) or f"; there are {', '.join(VERBS)}"
    return f"there is no verb {verb!r}{near}"


def entry() -> None:
    """The console script: `main` in a process whose heap suits training."""
    from fxformer.train import signals

    long = sys.argv[1:2] and sys.argv[1] in ("train", "plan", "audit", "compare")
    if long:
        signals.block()  # until there is a handler, also in the process that `retune` executes
    if sys.argv[1:2] in (["train"], ["plan"]):  # a plan times the steps that training makes
        from fxformer.cli.huge_pages import retune

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


if __name__ == "__main__":
    entry()
