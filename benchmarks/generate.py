"""`python -m benchmarks generate`: our decoding beside transformers' generate on the same weights.

The peer runs in its own interpreter (--peer: a python with torch and transformers), so that neither
side's libraries matter to the other; the sides take turns. Greedy and beam output must be equal.
On a machine that others use, compare the CPU time of a single core (`taskset -c 0 python …`).
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import fxformer
from benchmarks import machine
from benchmarks.duel import spread
from fxformer.inference.decoding.config import GenerationConfig
from fxformer.inference.decoding.generate import generate
from fxformer.inference.model import Model

SHAPES = {
    "gpt2-tiny": {"architecture": "decoder", "width": 128, "layers": 2, "heads": 2, "vocab": 4096},
    "gpt2-small": {
        "architecture": "decoder", "width": 512, "layers": 6, "heads": 8, "vocab": 16000,
    },
    "gpt2-base": {
        "architecture": "decoder", "width": 768, "layers": 12, "heads": 12, "vocab": 50257,
    },
    "bart-tiny": {"architecture": "seq2seq", "width": 128, "layers": 2, "heads": 2, "vocab": 4096},
    "bart-small": {
        "architecture": "seq2seq", "width": 512, "layers": 6, "heads": 8, "vocab": 16000,
    },
    "bart-base": {
        "architecture": "seq2seq", "width": 768, "layers": 6, "heads": 12, "vocab": 50265,
    },
}  # fmt: skip
PROMPT = 128  # tokens
CASES = {
    "greedy, batch 1": {"batch": 1, "sample": False, "beams": 1},
    "greedy, batch 16": {"batch": 16, "sample": False, "beams": 1},
    "sampling, batch 1": {"batch": 1, "sample": True, "beams": 1},
    "beam 4, batch 8": {"batch": 8, "sample": False, "beams": 4},
}


@dataclasses.dataclass
class Peer:
    """The process of the other side."""

    process: subprocess.Popen

    @classmethod
    def start(cls, python: str, threads: int) -> "Peer":
        """An interpreter with torch and transformers."""
        script = Path(__file__).with_name("generate_peer.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return cls(subprocess.Popen([python, str(script), str(threads)], text=True, **pipes))

    def ask(self, **request) -> dict:
        """Its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the peer has ended: see its message above")
        return json.loads(line)


def ours(model: Model, case: dict) -> dict:
    """One call of our generate, its programs compiled or not."""
    ids = np.array(case["ids"], np.int32)
    config = GenerationConfig(
        max_new_tokens=case["new"],
        do_sample=case["sample"],
        num_beams=case["beams"],
        top_k=50 if case["sample"] else 0,  # transformers' default
        decoder_start_token_id=model.start,
    )
    given = {"source": ids} if model.architecture == "seq2seq" else {"prompt": ids}
    began, cpu = time.perf_counter(), time.process_time()
    found = generate(model.module, config, **given)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "ids": found.sequences.tolist(), "peak_mb": peak}


def duel(model: Model, peer: Peer, case: dict, rounds: int) -> dict:
    """Figures of one case: turns of both sides, the first call apart."""
    first = ours(model, case)
    theirs = peer.ask(case=case)
    equal = None if case["sample"] else first["ids"] == theirs["ids"]
    prefill = case | {"new": 1}
    ours(model, prefill)
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for suffix, one in (("", case), ("_1", prefill)):
            for side, answer in (("ours", ours(model, one)), ("theirs", peer.ask(case=one))):
                times.setdefault(side + suffix, []).append(answer["seconds"])
                times.setdefault(f"{side}{suffix}_cpu", []).append(answer["cpu"])
    times |= {
        f"{side}_decode": [a - b for a, b in zip(times[side], times[f"{side}_1"], strict=True)]
        for side in ("ours", "theirs")
    }
    middle = {name: statistics.median(values) for name, values in times.items()}
    rows = case["batch"]
    return {
        "equal": equal,
        "ratio": spread(times["theirs"], times["ours"]),
        "ratio_cpu": spread(times["theirs_cpu"], times["ours_cpu"]),
        "ratio_first_token": spread(times["theirs_1"], times["ours_1"]),
        "ratio_decode": spread(times["theirs_decode"], times["ours_decode"]),
        "milliseconds_per_step": 1000 * middle["ours_decode"] / (case["new"] - 1),
        "load": os.getloadavg()[0],
        "tokens_per_second": rows * case["new"] / middle["ours"],
        "their_tokens_per_second": rows * case["new"] / middle["theirs"],
        "compile_seconds": first["seconds"] - middle["ours"],
        "peak_mb": ours(model, prefill)["peak_mb"],
        "their_peak_mb": peer.ask(case=prefill)["peak_mb"],
        "seconds": times,
    }


def run(
    names: list[str], cases: dict, peer: Peer, rounds: int, new: int, console: Console, keep
) -> dict:
    """All cases of some shapes. keep: called with the figures so far after each case"""
    found: dict[str, dict] = {}
    rng = np.random.default_rng(0)
    for name in names:
        shape = SHAPES[name]
        with tempfile.TemporaryDirectory() as folder:
            peer.ask(make=folder, shape=shape)
            peer.ask(load=folder, architecture=shape["architecture"])
            model = fxformer.load(folder)
        found[name] = {}
        for case, options in cases.items():
            ids = rng.integers(5, shape["vocab"], (options["batch"], PROMPT)).tolist()
            with console.status(f"{name}, {case}: {rounds} turns of each side"):
                one = duel(model, peer, options | {"ids": ids, "new": new}, rounds)
            found[name][case] = one
            keep(found)
            console.print(f"{name}, {case}: ×{one['ratio']['median']:.2f}", highlight=False)
    return found


def show(console: Console, found: dict) -> None:
    """The table."""
    table = Table(caption="ratio: their time / ours, median (quartiles of the rounds)")
    for name in ("shape", "case", "tokens/s", "theirs", "ratio", "CPU time", "first token",
                 "decode", "compile, s", "peak MB", "theirs", "same ids"):  # fmt: skip
        table.add_column(name, justify="left" if name in ("shape", "case") else "right")
    for shape, cases in found.items():
        for case, one in cases.items():
            ratio, first = one["ratio"], one["ratio_first_token"]
            table.add_row(
                shape, case, f"{one['tokens_per_second']:,.0f}",
                f"{one['their_tokens_per_second']:,.0f}",
                f"{ratio['median']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})",
                f"{one['ratio_cpu']['median']:.2f}",
                f"{first['median']:.2f}", f"{one['ratio_decode']['median']:.2f}",
                f"{one['compile_seconds']:.1f}",
                f"{one['peak_mb']:.0f}", f"{one['their_peak_mb']:.0f}",
                {None: "", True: "yes", False: "NO"}[one["equal"]],
            )  # fmt: skip
    console.print(table)


def main() -> None:
    """Measure, show, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks generate", description=__doc__)
    parser.add_argument("shapes", nargs="*", help=f"of {', '.join(SHAPES)}; none: all")
    parser.add_argument("--peer", default=sys.executable, help="a python with torch, transformers")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=CASES, metavar="CASE")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side, 2 or more")
    parser.add_argument("--new", type=int, default=128, help="tokens to generate, 2 or more")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    if unknown := set(given.shapes) - set(SHAPES):
        parser.error(f"{sorted(unknown)} are no shapes; there are {', '.join(SHAPES)}")
    console, facts = Console(), machine.facts()
    peer = Peer.start(given.peer, len(os.sched_getaffinity(0)))
    facts["versions"] |= peer.ask(versions=True)
    how = {"rounds": given.rounds, "new_tokens": given.new, "prompt_tokens": PROMPT}

    def keep(found: dict) -> None:
        if given.json:
            whole = {"machine": facts, "how": how, "cases": found}
            given.json.write_text(json.dumps(whole, indent=1) + "\n")

    cases = {name: CASES[name] for name in given.cases}
    shapes = given.shapes or list(SHAPES)
    show(console, run(shapes, cases, peer, given.rounds, given.new, console, keep))


if __name__ == "__main__":
    main()
