"""`python -m benchmarks nvml`: a GPU's energy counter beside its power, integrated, on one load.

The two come from the same board by different ways; more than 5 % between them says that one is
wrong here (some drivers sample power a quarter of the time: Yang et al. 2024, arXiv 2312.02741).
Exit codes: 0 they agree, 1 they do not, 2 there is no GPU to read.
"""

import argparse
import datetime
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.machine import facts
from fxformer.energy.nvml import NVMLCounter, has_counter, open_library, power_of, visible
from fxformer.energy.sensor import IntegratedPower, UnreadableError
from fxformer.energy.shared_counter import SharedCounter

RESULTS = Path(__file__).parent / "results"
MOST = 0.05  # of the counter's joules that the two may differ by
AGREE, DIFFER, NO_GPU = 0, 1, 2


def compare(
    library: Any, mask: str | None, seconds: float, work: Callable[[], None], every: float = 0.05
) -> list[dict]:
    """A line for each visible GPU with a counter: joules both ways while `work` is done over and
    over for so many seconds; those of a GPU that has only its power say so."""
    found = []
    for uuid, handle in visible(library, mask).items():
        name = library.nvmlDeviceGetName(handle)
        line = {"name": name.decode() if isinstance(name, bytes) else name}
        if not has_counter(library, handle):
            found.append(line | {"counter": None})
            continue
        board = NVMLCounter(library, uuid, handle, sigma=0.0, every=0.0)
        watts = power_of(library, {uuid: handle})
        sampled = IntegratedPower("power", watts, seconds=every, sigma=0)
        counter, power = (SharedCounter(one, {}, folder=None) for one in (board, sampled))
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            work()
        measured, integrated = counter.read()[0].joules, power.read()[0].joules
        span = time.monotonic() - began
        power.close()
        ratio = integrated / measured if measured else float("nan")
        line |= {"seconds": span, "counter": measured, "integrated": integrated, "ratio": ratio}
        found.append(line | {"watts": measured / span, "agree": abs(ratio - 1) <= MOST})
    return found


def matrices() -> tuple[Callable[[], None], str]:
    """Work for the GPU JAX has, and what it is; waiting, where it has none."""
    import jax
    import jax.numpy as jnp

    if jax.default_backend() != "gpu":
        return lambda: time.sleep(0.2), "nothing: JAX sees no GPU"
    x = jnp.ones((8192, 8192), jnp.bfloat16)
    product = jax.jit(lambda a: a @ a * 1e-4)
    return lambda: jax.block_until_ready(product(x)), "products of 8192 x 8192 matrices, bfloat16"


def main(argv: list[str], library: Any = None, results: Path = RESULTS) -> int:
    """Measure, show, save; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks nvml", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of load on each GPU")
    given, console = parser.parse_args(argv), Console()
    mask = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        library = library or open_library()
    except UnreadableError as error:
        console.print(f"no GPU can be read here, so nothing was measured: {error}")
        return NO_GPU
    if not visible(library, mask):
        console.print(f"no GPU is visible (CUDA_VISIBLE_DEVICES={mask!r}): nothing was measured")
        return NO_GPU
    work, what = matrices()
    found = compare(library, mask, given.seconds, work)
    for line in found:
        console.print_json(json.dumps(line))
    now = datetime.datetime.now(datetime.UTC)
    body = {"date": f"{now:%Y-%m-%d}", "machine": facts(), "work": what, "gpus": found}
    results.mkdir(exist_ok=True)
    path = results / f"nvml-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(body, indent=1) + "\n")
    console.print(f"kept in {path}")
    return AGREE if all(line.get("agree", True) for line in found) else DIFFER


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
