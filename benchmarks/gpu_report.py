"""Figures of `python -m benchmarks gpu`: MFU, square buffers, tables, what is missing."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

BUFFER = re.compile(r"\b(?:f|bf|s|u|pred)\d*\[(\d+(?:,\d+)+)\]")
DONE, FAILED, TIMED_OUT, NOT_RUN = "done", "failed", "timed out", "not run"


def utilisation(flops: float, seconds: float, peak: float | None) -> float | None:
    """Model FLOPs utilisation (MFU): share of the peak; None: the peak is unknown."""
    return None if not peak else flops / seconds / peak


def rates(seconds: Sequence[float], tokens: int, flops: float, peak: float | None) -> dict:
    """Figures of some steps of one length: median and quartiles of the time, tokens/s, MFU."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {
        "step_seconds": middle,
        "step_seconds_quartiles": [low, high],
        "steps": len(seconds),
        "tokens_per_second": tokens / middle,
        "flops_per_step": flops,
        "mfu": utilisation(flops, middle, peak),
    }


def square_buffers(
    program: str, length: int, rows: int, heads: int, widths: Sequence[int] = ()
) -> list[str]:
    """Shapes [..., T, T] of a compiled program that hold attention of whole rows, as text.

    program: HLO; rows: of the batch. Leading axes must be those of the rows, of the heads of the
    rows or of the heads: square matrices of parameters that happen to be as wide have others.
    widths: of the hidden states; where T is one of them, [rows, T, T] are hidden states
    """
    leading, found = {1, rows, heads, rows * heads}, set()
    for match in BUFFER.finditer(program):
        *before, high, wide = (int(size) for size in match[1].split(","))
        count = 1
        for size in before:
            count *= size
        hidden = wide in widths and before == [rows]
        if (high, wide) == (length, length) and before and count in leading and not hidden:
            found.add(match[0])
    return sorted(found)


def missing(stages: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each stage that gave no figures, or not all, with the reason."""
    return [
        f"{one['name']}: {one['status']}, {one['reason']}"
        for one in stages
        if one["status"] != DONE
    ]


def results(stages: Iterable[Mapping[str, Any]], kind: str) -> dict[str, dict]:
    """{what a stage is of: its figures} of the stages of a kind; those of a stage that did not end
    are what it had found by then."""
    return {one["of"]: one["result"] for one in stages if one["kind"] == kind and "result" in one}


def ratio(ours: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> float | None:
    """Their seconds of a step over ours; above 1: ours is faster."""
    if not ours or not theirs:
        return None
    return theirs["step_seconds"] / ours["step_seconds"]


def show(console: Console, stages: Sequence[Mapping[str, Any]]) -> None:
    """Tables of the figures, and what was not measured."""
    table = Table("backend", "case", "length", "error", "of gradients", "result")
    for backend, found in results(stages, "correctness").items():
        for case in found["cases"]:
            cells = (backend, case["kind"], str(case["length"]))
            if "refused" in case:
                table.add_row(*cells, "–", "–", f"not taken: {case['refused']}")
                continue
            numbers = (f"{case['error']:.1e}", f"{case['gradient_error']:.1e}")
            table.add_row(*cells, *numbers, "equal" if case["equal"] else "DIFFERS")
    console.print(table)
    speed = Table("model", "side", "tokens/s", "MFU", "memory, GB", "T × T buffers", "theirs/ours")
    ours, peers = results(stages, "ours"), results(stages, "peer")
    for name, one in ours.items():
        squares = f"{len(one['square_buffers'])} shapes" if one["square_buffers"] else "none"
        speed.add_row(name, one["side"], *_cells(one), squares, "")
        if theirs := peers.get(name):
            beside = ratio(one, theirs)
            speed.add_row(name, theirs["side"], *_cells(theirs), "", f"{beside:.2f}")
    for name in peers.keys() - ours.keys():
        speed.add_row(name, peers[name]["side"], *_cells(peers[name]), "", "–")
    console.print(speed)
    for found in results(stages, "energy").values():
        for line in found["gpus"]:
            console.print_json(data=line)
    for line in missing(stages):
        console.print(f"not measured: {line}", highlight=False)


def _cells(one: Mapping[str, Any]) -> tuple[str, str, str]:
    share = "–" if one["mfu"] is None else f"{one['mfu']:.1%}"
    memory = "–" if one["peak_bytes"] is None else f"{one['peak_bytes'] / 1e9:.2f}"
    return f"{one['tokens_per_second']:,.0f}", share, memory
