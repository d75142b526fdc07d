"""`python -m benchmarks attention`: time and memory of attention by backend, length and window.

One layer's attention, forward and backward, float32. The backends of a case take turns; processor
seconds (all threads) are the median of the turns, memory is what XLA reserves for temporaries. The
slope is that of log time, or log memory, over log length, from the second length on.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from fxformer.ops.attention.attend import attend
from fxformer.ops.attention.mask import AttentionMask

KINDS = ("causal", "segments", "packed", "window", "global")
WIDTH = 64


def segments_of(kind: str, length: int, rows: int) -> jax.Array:
    """Eight packed segments a row, or one. int32 [rows, length]"""
    packed = 1 + jnp.arange(length) * 8 // length
    row = packed if kind == "packed" else jnp.ones_like(packed)
    return jnp.broadcast_to(row, (rows, length))


def mask_of(kind: str, segments: jax.Array, window: int) -> AttentionMask:
    """A mask: causal, all of a segment, packed causal segments, a window to both sides, or that
    with one global token."""
    first = jnp.broadcast_to(jnp.arange(segments.shape[1]) == 0, segments.shape)
    windowed = kind in ("window", "global")
    return AttentionMask(
        segments,
        segments,
        causal=kind in ("causal", "packed"),
        window=window if windowed else None,
        window_exempt=first if kind == "global" else None,
    )


def compiled(backend: str, kind: str, length: int, given: argparse.Namespace) -> tuple:
    """(compiled gradient of one layer's attention, its inputs)."""
    shape = (given.rows, length, given.heads, WIDTH)
    inputs = [jax.random.normal(jax.random.key(i), shape) for i in range(4)]
    inputs.append(segments_of(kind, length, given.rows))

    def loss(q, k, v, w, segments):
        mask = mask_of(kind, segments, given.window)
        known = {"dropout": given.dropout, "key": jax.random.key(0) if given.dropout else None}
        y = attend(q, k, v, mask, scale=WIDTH**-0.5, backend=backend, **known)
        return (y * w).sum()

    return jax.jit(jax.grad(loss, (0, 1, 2))).lower(*inputs).compile(), inputs


def turn(step: Callable, inputs: list) -> float:
    """Processor seconds of one call."""
    began = time.process_time()
    jax.block_until_ready(step(*inputs))
    return time.process_time() - began


def measure(kind: str, length: int, given: argparse.Namespace) -> list[dict]:
    """A row for each backend."""
    names = [b for b in given.backends if b != "reference" or length <= given.reference_up_to]
    steps = {name: compiled(name, kind, length, given) for name in names}
    for step in steps.values():
        turn(*step)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(given.rounds):
        for name, step in steps.items():
            seconds[name].append(turn(*step))
    found = []
    for name, (step, _) in steps.items():
        quartiles = np.quantile(seconds[name], (0.25, 0.75)).tolist()
        row = {"kind": kind, "length": length, "backend": name, "quartiles": quartiles}
        row["window"] = given.window if kind in ("window", "global") else None
        row["cpu_seconds"] = statistics.median(seconds[name])
        found.append(row | {"temporary_bytes": step.memory_analysis().temp_size_in_bytes})
    return found


def slopes(rows: list[dict]) -> dict[str, float]:
    """{kind backend quantity: slope in log-log}, of three lengths or more."""
    found = {}
    for kind, backend in sorted({(row["kind"], row["backend"]) for row in rows}):
        own = [r for r in rows if (r["kind"], r["backend"]) == (kind, backend)][1:]
        for quantity in ("cpu_seconds", "temporary_bytes") if len(own) > 1 else ():
            x, y = (np.log([row[key] for row in own]) for key in ("length", quantity))
            found[f"{kind} {backend} {quantity}"] = float(np.polyfit(x, y, 1)[0])
    return found


def main() -> None:
    """Measure, show, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks attention", description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[256, 1024, 2048, 4096])
    parser.add_argument("--kinds", nargs="+", default=["causal", "segments"], choices=KINDS)
    parser.add_argument("--backends", nargs="+", default=["reference", "cpu"])
    parser.add_argument("--reference-up-to", type=int, default=4096, help="its longest row (4096)")
    parser.add_argument("--window", type=int, default=257, help="of window and global (257)")
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--heads", type=int, default=4, help=f"{WIDTH} wide (4)")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each backend (5)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    console, rows = Console(), []
    table = Table("mask", "length", "backend", "processor s", "quartiles", "temporaries, MB")
    for kind in given.kinds:
        for length in given.lengths:
            for row in measure(kind, length, given):
                rows.append(row)
                low, high = row["quartiles"]
                spread, size = f"{low:.4f}–{high:.4f}", f"{row['temporary_bytes'] / 1e6:.1f}"
                cells = (kind, str(length), row["backend"], f"{row['cpu_seconds']:.4f}")
                table.add_row(*cells, spread, size)
            if given.json:  # at once: what is measured stays
                how = {key: value for key, value in vars(given).items() if key != "json"}
                body = {"settings": how, "machine": machine.facts(), "rows": rows}
                given.json.write_text(json.dumps(body | {"slopes": slopes(rows)}, indent=1) + "\n")
    console.print(table, *(f"{name}: {slope:.2f}" for name, slope in slopes(rows).items()))


if __name__ == "__main__":
    main()
