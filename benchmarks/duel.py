"""Sides that take turns: all are started, then each makes a few steps while the others wait."""

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from benchmarks.work import PEERS, Shape
from fxformer.cli.huge_pages import tuned

OURS = "fxformer"


def environment(threads: int = 2) -> dict[str, str]:
    """For both sides the same: so many threads, and the heap that `fxformer` asks glibc for."""
    environ = tuned(dict(os.environ)) or dict(os.environ)
    count = str(threads)
    more = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OMP_WAIT_POLICY": "PASSIVE",
            "JAX_PLATFORMS": "cpu", "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1"}  # fmt: skip
    return environ | more


class Child:
    """A side's process. `ready`: what it said after its first step."""

    def __init__(self, name: str, family: str, shape: Shape, cache: str = ""):
        self.name, text = name, json.dumps(dataclasses.asdict(shape))
        began = repr(time.time())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", name, family, text, cache, began],
            env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if os.environ.get("QUIET", "1") == "1" else None, text=True,
        )  # fmt: skip
        self.ready = self.hear()

    def hear(self) -> dict:
        """Its next line. RuntimeError where it died instead."""
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise RuntimeError(f"{self.name} ended with code {code}; QUIET=0 shows what it said")
        return json.loads(line)

    def steps(self, count: int) -> dict:
        """{seconds, loss, peak_bytes} of so many steps made now."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return self.hear()

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def started(names: Sequence[str], family: str, shape: Shape) -> Iterator[tuple[list[Child], dict]]:
    """A process for each side, one after the other; and what our first start, uncached, cost."""
    with tempfile.TemporaryDirectory() as cache, contextlib.ExitStack() as stack:
        with contextlib.closing(Child(OURS, family, shape, cache)) as child:
            cold = child.ready
        children = []
        for name in names:
            child = Child(name, family, shape, cache if name == OURS else "")
            children.append(stack.enter_context(contextlib.closing(child)))
        yield children, cold


def duel(family: str, shape: Shape, *, rounds: int, steps: int, peers: bool = True) -> dict:
    """{side: facts} of `rounds` turns of `steps` steps, the order turned round every time.

    A ratio is of the medians of two turns of one round, so that what else the machine does falls
    on both; given are its median and its quartiles over the rounds. Above 1: we are faster.
    """
    names = [OURS, *(PEERS[family] if peers else ())]
    seconds: dict[str, list[list[float]]] = {name: [] for name in names}
    facts: dict[str, dict] = {}
    with started(names, family, shape) as (children, cold):
        for child in children:
            facts[child.name] = dict(child.ready)
            child.steps(2)  # warm up
        for number in range(rounds):
            for child in children[:: 1 if number % 2 == 0 else -1]:
                answer = child.steps(steps)
                seconds[child.name].append(answer["seconds"])
                facts[child.name]["peak_bytes"] = answer["peak_bytes"]
        facts[OURS] |= {f"cold_{k}": cold[k] for k in ("ready_seconds", "compile_seconds")}
    tokens = shape.batch * shape.length * (1 + (family == "seq2seq"))
    for name, turns in seconds.items():
        turn = [statistics.median(one) for one in turns]
        facts[name] |= {"step_seconds": statistics.median(turn), "turn_seconds": turn}
        facts[name]["tokens_per_second"] = tokens / facts[name]["step_seconds"]
        if name != OURS:
            facts[name]["ratio"] = spread(turn, [statistics.median(one) for one in seconds[OURS]])
    return facts


def spread(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Median and quartiles of theirs / ours, pair by pair."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {"median": middle, "low": low, "high": high}
