"""`python -m benchmarks gpu`: our kernels and training steps on a GPU, beside Hugging Face's.

Stages, each in a process of its own with a limit of time, and each written to the JSON file as it
ends: correctness of each attention backend in bfloat16, our training steps (tokens/s, MFU, memory,
T x T buffers of the program), the GPU's energy counter beside its power samples, then the peers,
where torch and transformers are installed. What the limits cut off is named. --tiny takes the
smallest shapes, so that the stages run on a CPU. Exit codes: 0 all was measured, 1 something was
not or differs, 2 there is no GPU.
"""

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import gpu_report, machine
from benchmarks.gpu_models import MODELS
from benchmarks.gpu_report import DONE, FAILED, NOT_RUN, TIMED_OUT

TINY_TIMES = 5  # limits with --tiny, which need not hurry on a busy CPU
KERNELS = {"gpu": ("cudnn", "pallas"), "cpu": ("cpu",)}
LEAST = 5.0  # seconds without which a stage is not begun
LAST_WORDS = 300  # characters of what a stage said that are kept where it failed


@dataclasses.dataclass
class Stage:
    """One stage: what `benchmarks.gpu_stage` is asked, and how long it may take.

    kind, of: its function and its first argument; options: further arguments
    limit: seconds
    python: the interpreter
    """

    kind: str
    of: str
    limit: float
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    python: str = sys.executable

    def command(self) -> list[str]:
        """The command line."""
        words = ["-m", "benchmarks.gpu_stage", self.kind, self.of, json.dumps(self.options)]
        return [self.python, *words]


def run(stage: Stage, limit: float) -> dict:
    """Facts of a stage: its status, seconds, and its result or the reason why there is none."""
    facts = {"name": f"{stage.kind} {stage.of}", "kind": stage.kind, "of": stage.of, "reason": ""}
    if limit < LEAST:
        return facts | {"status": NOT_RUN, "seconds": 0.0, "reason": "the time was used up"}
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            stage.command(), stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True
        )
        try:
            answer, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            answer, _ = process.communicate()
            facts |= {"status": TIMED_OUT, "reason": f"its limit was {limit:.0f} s"}
        except BaseException:  # who is asked to stop takes its stage along
            os.killpg(process.pid, signal.SIGKILL)
            raise
        said.seek(0)
        words = said.read().strip()[-LAST_WORDS:]
    facts["seconds"] = time.monotonic() - began
    whole = [line for line in answer.splitlines(keepends=True) if line.endswith("\n")]
    if whole:  # of a stage that did not end, what it has said so far
        facts["result"] = json.loads(whole[-1])
    if "status" in facts:
        return facts
    if process.returncode or not whole:
        return facts | {"status": FAILED, "reason": f"code {process.returncode}: {words}"}
    return facts | {"status": DONE}


def plan(
    given: argparse.Namespace, platform: str, found: list[dict], peers: str | None
) -> Iterator[Stage]:
    """The stages in order of importance; later ones depend on what earlier ones found.

    found: facts of the stages so far; peers: why there are none; None: they are installed
    """
    tiny, quick = given.tiny, 1.0 if given.tiny else 8.0
    known = {"tiny": tiny, "seconds": quick}
    for backend in KERNELS[platform]:
        yield Stage("correctness", backend, 90, known)
    for name in given.models:
        kernel = equal_kernel(found, platform) if MODELS[name].attention else None
        yield Stage("ours", name, 90, known | {"backend": kernel or "auto"})
    if platform == "gpu":
        yield Stage("energy", "nvml", 30, {"tiny": tiny, "seconds": 10.0})
    for name in given.models if peers is None else ():
        one = gpu_report.results(found, "ours").get(name) or {}
        operands = {"flops": one.get("flops_per_step"), "peak": one.get("peak_flops")}
        yield Stage("peer", name, 75, known | operands, given.peer)


def equal_kernel(found: list[dict], platform: str) -> str | None:
    """The first kernel that has equalled the reference in every case that it takes."""
    checked = gpu_report.results(found, "correctness")
    for name in KERNELS[platform]:
        cases = checked.get(name, {}).get("cases", ())
        if any("equal" in case for case in cases) and checked[name]["equal"]:
            return name
    return None


def measure(given: argparse.Namespace, platform: str, keep: Callable[[list[dict]], None],
            note: Callable[[str], None]) -> list[dict]:  # fmt: skip
    """Run all stages within the limit; keep: called with all facts after each."""
    found: list[dict] = []
    until = time.monotonic() + 60 * given.minutes
    peers = no_peers(given.peer)
    for stage in plan(given, platform, found, peers):
        note(f"{stage.kind} {stage.of}")
        limit = stage.limit * (TINY_TIMES if given.tiny else 1)
        found.append(run(stage, min(limit, until - time.monotonic())))
        keep(found)
    skipped = [] if platform == "gpu" else [("energy", "nvml", "there is no GPU")]
    skipped += [("peer", name, peers) for name in given.models if peers is not None]
    for kind, of, reason in skipped:
        facts = {"name": f"{kind} {of}", "kind": kind, "of": of, "seconds": 0.0}
        found.append(facts | {"status": NOT_RUN, "reason": reason})
    keep(found)
    return found


def no_peers(python: str) -> str | None:
    """Why no peer can run; None: torch and transformers are installed."""
    words = [python, "-c", "import torch, transformers"]
    try:
        code = subprocess.run(words, capture_output=True, timeout=60).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} cannot be run: {error}"
    return f"torch or transformers is not installed for {python}" if code else None


def platform_of() -> str:
    """gpu or cpu, asked in another process: this one must not hold the GPU's memory."""
    code = "import jax; print(jax.default_backend())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return "gpu" if said.stdout.split()[-1] in ("gpu", "cuda") else "cpu"


def parsed(argv: list[str]) -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("models", nargs="*", help=f"of {', '.join(MODELS)}; none: all")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything (8)")
    parser.add_argument("--tiny", action="store_true", help="smallest shapes, on a CPU too")
    parser.add_argument("--peer", default=sys.executable, help="a python with torch, transformers")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="file for the figures")
    given = parser.parse_args(argv)
    if unknown := set(given.models) - set(MODELS):
        parser.error(f"{sorted(unknown)} are no models; there are {', '.join(MODELS)}")
    if given.minutes <= 0:
        parser.error("--minutes must be above 0")
    given.models = given.models or list(MODELS)
    return given


def main(argv: list[str]) -> int:
    """Measure, show, save; the exit code."""
    given, console = parsed(argv), Console()
    platform = platform_of()
    if platform != "gpu" and not given.tiny:
        console.print(
            "JAX sees no GPU, so nothing was measured; --tiny runs every stage on this CPU"
        )
        return 2
    settings = {key: value for key, value in vars(given).items() if key != "json"}
    body = {"settings": settings, "platform": platform, "machine": machine.facts()}

    def keep(found: list[dict]) -> None:  # at once: what is measured stays
        given.json.write_text(json.dumps(body | {"stages": found}, indent=1) + "\n")

    with console.status("measuring …") as status:
        found = measure(given, platform, keep, lambda name: status.update(f"{name} …"))
    gpu_report.show(console, found)
    console.print(f"kept in {given.json}")
    unequal = not all(one["equal"] for one in gpu_report.results(found, "correctness").values())
    return int(unequal or bool(gpu_report.missing(found)))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
