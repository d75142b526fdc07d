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

from benchmarks.work import Shape
from fxformer.cli.allocator import tuned

OURS = "fxformer"


COLD = ("ready_seconds", "compile_seconds")
UNTUNED = "_untuned"  # a side without the allocator's tunables: as its users run it


def environment(threads: int = 2, tunables: bool = True) -> dict[str, str]:
    """So many threads, and the allocator settings of `fxformer train` (see cli/allocator.py), for
    both sides; tunables: whether the latter are set."""
    environ = dict(os.environ)
    environ = (tuned(environ) or environ) if tunables else environ
    if not tunables:
        environ.pop("GLIBC_TUNABLES", None)
    count = str(threads)
    more = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OMP_WAIT_POLICY": "PASSIVE",
            "JAX_PLATFORMS": "cpu", "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1"}  # fmt: skip
    return environ | more


class Child:
    """A side's process. `ready`: what it said after its first step.

    python: the interpreter; None: this one
    """

    def __init__(
        self, name: str, family: str, shape: Shape, cache: str = "", python: str | None = None
    ):
        self.name, text = name, json.dumps(dataclasses.asdict(shape))
        began, side = repr(time.time()), name.removesuffix(UNTUNED)
        self.process = subprocess.Popen(
            [python or sys.executable, "-m", "benchmarks.child", side, family, text, cache, began],
            env=environment(tunables=side == name),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
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
        """{seconds, cpu_seconds, loss, peak_bytes} of so many steps made now."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return self.hear()

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(BrokenPipeError):  # it has died
            self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def started(
    names: Sequence[str], family: str, shape: Shape, python: str | None, cold_start: bool
) -> Iterator[tuple[list[Child], dict]]:
    """A process for each side, one after the other; and what our first start, uncached, cost."""
    with tempfile.TemporaryDirectory() as cache, contextlib.ExitStack() as stack:
        children, cold = [], {}
        if cold_start:
            with contextlib.closing(Child(OURS, family, shape, cache)) as child:
                cold = child.ready
        for name in names:
            given = (cache, None) if name == OURS else ("", python)
            child = Child(name, family, shape, *given)
            children.append(stack.enter_context(contextlib.closing(child)))
        yield children, cold


def duel(
    names: Sequence[str], family: str, shape: Shape, *, rounds: int, steps: int,
    python: str | None = None, cold_start: bool = False,
) -> dict:  # fmt: skip
    """{side: facts} of `rounds` turns of `steps` steps, the order turned round every time.

    names: of the sides; ours is the first
    python: the interpreter of the peers
    cold_start: whether to measure a first start of ours without a compilation cache, too

    A ratio is of the medians of two turns of one round, so that what else the machine does falls
    on both; given are its median and its quartiles over the rounds. Above 1: we are faster.
    `ratio_cpu` is the same of the processor time (all threads, with the system's share), which
    other processes change less than the wall clock.
    """
    seconds: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    facts: dict[str, dict] = {}
    with started(names, family, shape, python, cold_start) as (children, cold):
        for child in children:
            facts[child.name] = dict(child.ready)
            child.steps(2)  # warm up
        for number in range(rounds):
            for child in children[:: 1 if number % 2 == 0 else -1]:
                answer = child.steps(steps)
                seconds[child.name].append(statistics.median(answer["seconds"]))
                cpu[child.name].append(answer["cpu_seconds"] / steps)
                facts[child.name] |= {key: answer[key] for key in ("peak_bytes", "loss")}
        facts[OURS] |= {f"cold_{k}": cold[k] for k in COLD if k in cold}
    tokens = shape.batch * shape.length * (1 + (family == "seq2seq"))
    for name in names:
        middle, used = statistics.median(seconds[name]), statistics.median(cpu[name])
        facts[name] |= {"step_seconds": middle, "cpu_seconds": used,
                        "turn_seconds": seconds[name], "turn_cpu_seconds": cpu[name],
                        "tokens_per_second": tokens / middle}  # fmt: skip
        if name != OURS:
            facts[name]["ratio"] = spread(seconds[name], seconds[OURS])
            facts[name]["ratio_cpu"] = spread(cpu[name], cpu[OURS])
    return facts


def spread(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Median and quartiles of theirs / ours, pair by pair."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {"median": middle, "low": low, "high": high}
