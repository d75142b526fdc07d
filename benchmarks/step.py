"""`python -m benchmarks step`: our training step beside PyTorch's on the same work."""

import argparse
import importlib.util

from rich.console import Console

from benchmarks import machine, report
from benchmarks.duel import duel
from benchmarks.overheads import overheads
from benchmarks.work import FAMILIES, Shape

PIP = "pip install 'torch>=2.9' 'transformers>=5' --extra-index-url https://download.pytorch.org/whl/cpu"


def main() -> None:
    """Measure, show, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks step", description=__doc__)
    parser.add_argument("families", nargs="*", help=f"of {', '.join(FAMILIES)}; none: all")
    parser.add_argument("--quick", action="store_true", help="minutes; nothing is saved")
    parser.add_argument("--rounds", type=int, help="turns of each side (8; quick: 3)")
    parser.add_argument("--steps", type=int, default=2, help="in a turn")
    given = parser.parse_args()
    if unknown := set(given.families) - set(FAMILIES):
        parser.error(f"{sorted(unknown)} are no families; there are {', '.join(FAMILIES)}")
    if (given.rounds or 2) < 2 or given.steps < 1:
        parser.error("a spread takes at least 2 rounds, and a turn at least 1 step")
    console, shape, facts = Console(), Shape(), machine.facts()
    peers = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
    if not peers:
        console.print(f"PyTorch or transformers is not installed: only our side runs. {PIP}")
    rounds, found, more = given.rounds or (3 if given.quick else 8), {}, {}
    how = {"rounds": rounds, "steps_per_turn": given.steps}
    for family in given.families or FAMILIES:
        with console.status(f"{family}: {rounds} turns of each side"):
            found[family] = duel(family, shape, rounds=rounds, steps=given.steps, peers=peers)
        if not given.quick:  # at once: what is measured stays, whatever becomes of the rest
            report.save(found, more, shape, facts, **how)
    with console.status("the input pipeline and the loop"):
        more = overheads(shape)
    report.show(console, found, more, shape)
    if not given.quick:
        path = report.save(found, more, shape, facts, **how)
        console.print(f"kept in {path}")


if __name__ == "__main__":
    main()
