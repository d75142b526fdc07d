"""One stage of `python -m benchmarks gpu` in a process of its own: its last line is its figures."""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import gpu_report
from benchmarks.gpu_models import model_of

KINDS = ("causal", "segments", "packed", "window", "global")
WIDTH = 64  # of a head
LEAST_ERROR = 0.02  # of the largest value: what bfloat16 may differ by in any case
TIMES_REFERENCE = 3.0  # the error of a backend beside that of the reference in bfloat16


def correctness(backend: str, tiny: bool, seconds: float) -> dict:
    """Output and gradients of a backend in bfloat16 against the reference in float32, for each kind
    of mask and two lengths, one of them 64 modulo 128."""
    lengths, rows, heads = ((128, 192), 1, 2) if tiny else ((1024, 1088), 2, 8)
    found: dict = {"cases": [], "equal": True}
    for length in lengths:
        for kind in KINDS:
            case = compared(backend, kind, length, rows, heads)
            found["cases"].append(case)
            found["equal"] &= case.get("equal", True)
            say(found)  # at once: a limit of time leaves the cases before it
    return found


def compared(backend: str, kind: str, length: int, rows: int, heads: int) -> dict:
    """The largest errors of one case, as shares of the largest value."""
    import jax
    import jax.numpy as jnp

    from benchmarks.attention import mask_of, segments_of
    from fxformer.errors import UserError
    from fxformer.ops.attention.attend import attend
    from fxformer.ops.attention.choice import recorded

    shape, segments = (rows, length, heads, WIDTH), segments_of(kind, length, rows)
    given = [jax.random.normal(jax.random.key(i), shape, jnp.bfloat16) for i in range(4)]

    def run(name: str, dtype) -> tuple:
        def loss(q, k, v, w):
            mask = mask_of(kind, segments, length // 4)
            y = attend(q, k, v, mask, scale=WIDTH**-0.5, backend=name)
            return (y * w).astype(jnp.float32).sum(), y

        with recorded():
            step = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
            (_, y), gradients = step(*(x.astype(dtype) for x in given))
        return y, gradients

    case: dict[str, Any] = {"kind": kind, "length": length}
    try:
        y, gradients = run(backend, jnp.bfloat16)
    except UserError as refusal:
        return case | {"refused": str(refusal)}
    exact_y, exact = run("reference", jnp.float32)
    plain_y, plain = run("reference", jnp.bfloat16)
    case["error"], usual = difference(y, exact_y), difference(plain_y, exact_y)
    pairs = zip(gradients, plain, exact, strict=True)
    errors = [(difference(one, true), difference(other, true)) for one, other, true in pairs]
    case["gradient_error"] = max(one for one, _ in errors)
    case["reference_errors"] = [usual, max(other for _, other in errors)]
    bounds = [max(LEAST_ERROR, TIMES_REFERENCE * error) for error in case["reference_errors"]]
    found = (case["error"], case["gradient_error"])
    return case | {"equal": all(e <= b for e, b in zip(found, bounds, strict=True))}


def difference(one, other) -> float:
    """Largest difference over the largest value; infinite where one is not finite."""
    import numpy as np

    one, other = (np.asarray(x, np.float32) for x in (one, other))
    if not np.isfinite(one).all():
        return float("inf")
    return float(np.abs(one - other).max() / np.abs(other).max())


def ours(name: str, tiny: bool, seconds: float, backend: str = "auto") -> dict:
    """Our training step of a model: time, MFU, memory, and what its program holds."""
    import jax

    from benchmarks.ours import Side
    from benchmarks.work import make_batch
    from fxformer.flops.peak import peak_flops
    from fxformer.flops.training import tokens_read, training_flops
    from fxformer.ops.attention.choice import recorded

    model, device = model_of(name, tiny), jax.devices()[0]
    with recorded() as choices:
        side = Side(model.family, model.shape, words=model.overrides(backend))
    batch = make_batch(model.family, model.shape)
    flops = sum(training_flops(*one) for one in side.objective.passes(batch))
    peak = peak_flops(device, "bfloat16")
    times = timed(side.once, seconds)
    memory = side.step.memory_analysis()
    sizes = ("argument", "output", "alias", "temp")
    widths = (model.dim, model.hidden)
    sizes_of_rows = (model.length, model.batch, model.heads)
    squares = gpu_report.square_buffers(side.step.as_text(), *sizes_of_rows, widths)
    known = {"side": "fxformer", "backends": sorted({one.backend for one in choices})}
    return (
        known
        | gpu_report.rates(times, tokens_read(batch), flops, peak and peak[0])
        | {
            "peak_flops": peak and peak[0],
            "peak_bytes": peak_bytes(device),
            "compiled_bytes": {key: getattr(memory, f"{key}_size_in_bytes", None) for key in sizes},
            "square_buffers": squares,
            "compile_seconds": side.compile_seconds,
            "parameters": side.parameters,
            "loss": side.loss,
            "device": device.device_kind,
        }
    )


def peak_bytes(device) -> int:
    """Most memory in use so far: of the device, or of this process where the device has none."""
    stats = device.memory_stats() or {}
    found = stats.get("peak_bytes_in_use")
    return found or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed(once: Callable[[], float], seconds: float) -> list[float]:
    """Seconds of steps made for so long, at least three, after two that do not count."""
    once(), once()
    found, began = [], time.perf_counter()
    while len(found) < 3 or (time.perf_counter() - began < seconds and len(found) < 200):
        found.append(once())
    return found


def peer(name: str, tiny: bool, seconds: float, flops: float | None = None,
         peak: float | None = None) -> dict:  # fmt: skip
    """The same of Hugging Face's model with fused attention and torch.compile.

    flops: of a step, as counted for ours; peak: FLOP/s of the device
    """
    from benchmarks.gpu_peers import Peer

    model = model_of(name, tiny)
    made = Peer(name, model)
    times = timed(made.once, seconds)
    tokens = model.batch * model.length * (1 + (model.family == "seq2seq"))
    found = gpu_report.rates(times, tokens, flops or 0.0, peak)
    known = {"side": made.side, "peak_bytes": made.peak_bytes(), "parameters": made.parameters}
    return found | known | {"mfu": found["mfu"] if flops else None, "loss": made.loss}


def energy(name: str, tiny: bool, seconds: float) -> dict:
    """The energy counter of each GPU beside its power samples, under products of matrices."""
    import os

    from benchmarks.nvml import compare, matrices
    from fxformer.energy.nvml import open_library, visible

    library, mask = open_library(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not visible(library, mask):
        raise RuntimeError(f"no GPU is visible (CUDA_VISIBLE_DEVICES={mask!r})")
    work, what = matrices()
    return {"gpus": compare(library, mask, seconds, work), "work": what}


STAGES = {stage.__name__: stage for stage in (correctness, ours, peer, energy)}


def say(found: dict) -> None:
    """Figures as a line of JSON: the last such line counts."""
    print(json.dumps(found), file=ANSWERS, flush=True)


def main(kind: str, of: str, options: str) -> None:
    """Run a stage, print its figures as the last line."""
    say(STAGES[kind](of, **json.loads(options)))


ANSWERS = sys.stdout
if __name__ == "__main__":
    sys.stdout = sys.stderr  # what a library prints is not the answer
    main(*sys.argv[1:])
