"""`python -m benchmarks step`: our training step beside PyTorch's on the same work.

The sides take turns in processes of their own, with the same threads and the same allocator
settings; the peers may have an interpreter of their own (--peer), which needs torch, transformers
and numpy only. On a machine that others use, trust the ratio of processor times more than that of
wall times.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import machine, report
from benchmarks.duel import OURS, UNTUNED, duel
from benchmarks.overheads import overheads
from benchmarks.work import FAMILIES, PEERS, SHAPES

PIP = "pip install 'torch>=2.9' 'transformers>=4.57' --extra-index-url https://download.pytorch.org/whl/cpu"


def main() -> None:
    """Measure, show, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks step", description=__doc__)
    parser.add_argument("families", nargs="*", help=f"of {', '.join(FAMILIES)}; none: all")
    parser.add_argument("--shape", default="default", choices=SHAPES)
    parser.add_argument("--dropout", type=float, default=0.0, help="rate, on both sides (0)")
    parser.add_argument("--peer", default=sys.executable, help="a python with torch, transformers")
    parser.add_argument("--untuned", action="store_true", help="also peers without the tunables")
    parser.add_argument("--compiled", action="store_true", help="also nanoGPT with torch.compile")
    parser.add_argument("--cold", action="store_true", help="also a first start of ours, uncached")
    parser.add_argument("--overheads", action="store_true", help="also input pipeline and loop")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each side (8)")
    parser.add_argument("--steps", type=int, default=2, help="in a turn (2)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    if unknown := set(given.families) - set(FAMILIES):
        parser.error(f"{sorted(unknown)} are no families; there are {', '.join(FAMILIES)}")
    if given.rounds < 2 or given.steps < 1:
        parser.error("a spread takes at least 2 rounds, and a turn at least 1 step")
    if not 0 <= given.dropout < 1:
        parser.error("a rate of dropout is at least 0 and less than 1")
    shape = dataclasses.replace(SHAPES[given.shape], dropout=given.dropout)
    console, facts, found, more = Console(), machine.facts(), {}, {}
    peers = subprocess.run([given.peer, "-c", "import torch, transformers"], capture_output=True)
    if peers.returncode:
        console.print(f"PyTorch or transformers is not installed: only our side runs. {PIP}")

    def keep() -> None:  # at once: what is measured stays, whatever becomes of the rest
        if given.json:
            how = {"rounds": given.rounds, "steps_per_turn": given.steps}
            whole = report.whole(found, more, given.shape, shape, facts, **how)
            given.json.write_text(json.dumps(whole, indent=1) + "\n")

    for family in given.families or FAMILIES:
        names = [OURS, *(sides(family, given) if not peers.returncode else ())]
        with console.status(f"{family}: {given.rounds} turns of each side"):
            found[family] = duel(
                names, family, shape, rounds=given.rounds, steps=given.steps, python=given.peer,
                cold_start=given.cold,
            )  # fmt: skip
        keep()
    if given.overheads:
        with console.status("the input pipeline and the loop"):
            more = overheads(shape)
        keep()
    report.show(console, found, more, shape)


def sides(family: str, given: argparse.Namespace) -> list[str]:
    """Names of the peers of a family."""
    names = list(PEERS[family])
    if given.compiled and "nanogpt" in names:
        names.append("nanogpt_compiled")
    return names + [name + UNTUNED for name in names if given.untuned]


if __name__ == "__main__":
    main()
