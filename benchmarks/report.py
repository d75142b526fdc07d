"""The figures as a table for the person and a file for later."""

import dataclasses
import datetime

from rich.console import Console
from rich.table import Table

from benchmarks.work import Shape


def show(console: Console, families: dict[str, dict], overheads: dict, shape: Shape) -> None:
    """Both tables."""
    title = (
        f"one training step, {shape.batch} x {shape.length} tokens, {shape.dim} wide, "
        f"{shape.layers} layers, vocabulary {shape.vocab}, dropout {shape.dropout}, float32"
    )
    table = Table(
        title=title,
        caption="their time / ours, median (quartiles of the rounds)",
    )
    for name in ("family", "side", "tokens/s", "ratio", "CPU time", "first step, s", "cold, s",
                 "compile, s",                 "peak memory, MB"):  # fmt: skip
        table.add_column(name, justify="left" if name in ("family", "side") else "right")
    for family, sides in families.items():
        for name, facts in sides.items():
            table.add_row(family, name, *_cells(facts))
        table.add_section()
    console.print(table)
    steps = {family: sides["fxformer"]["step_seconds"] for family, sides in families.items()}
    if overheads:
        least = min(steps.values())
        loop = overheads["loop"]
        words = f"loop, meter and run folder: {loop * 1e3:.2f} ms a step"
        console.print(f"{words}, {loop / least:.2%} of the quickest")
        meter = overheads["meter"]
        words = f"the meter by itself: {meter * 1e6:.1f} µs of a processor a step"
        console.print(f"{words}, {meter / least:.3%} of the quickest")
        console.print(_corruption(overheads["corrupt"], steps))


def _corruption(presets: dict[str, dict], steps: dict[str, float]) -> Table:
    """What each objective's corruption costs beside the step of its architecture."""
    table = Table(title="corruption on the host, one thread, beside a step of the same shape")
    for name in ("objective", "batch", "ms", "tokens/s", "share of a step"):
        table.add_column(name, justify="left" if name == "objective" else "right")
    for name, one in presets.items():
        step = steps.get(one["family"])
        size = one["rows"] * one["length"]
        table.add_row(
            name,
            f"{one['rows']} × {one['length']}",
            f"{one['seconds'] * 1e3:.2f}",
            f"{size / one['seconds'] / 1e6:.1f} M",
            "" if step is None else f"{one['seconds'] / step:.2%}",
        )
    return table


def _cells(facts: dict) -> list[str]:
    ratio = facts.get("ratio")
    cold = facts.get("cold_ready_seconds")
    compiled, first = facts["compile_seconds"], facts.get("cold_compile_seconds")
    return [
        f"{facts['tokens_per_second']:,.0f}",
        *(
            "" if one is None else "{median:.2f} ({low:.2f}–{high:.2f})".format(**one)
            for one in (ratio, facts.get("ratio_cpu"))
        ),
        f"{facts['ready_seconds']:.1f}",
        "" if cold is None else f"{cold:.1f}",
        f"{compiled:.1f}" + ("" if first is None else f" (cold {first:.1f})"),
        f"{facts['peak_bytes'] / 1e6:,.0f}",
    ]


def whole(
    families: dict, overheads: dict, name: str, shape: Shape, machine: dict, **how
) -> dict:  # fmt: skip
    """Everything that a file of results holds. `name`: of the shape."""
    versions = dict(machine["versions"])
    for sides in families.values():
        for facts in sides.values():
            versions |= facts["versions"]
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "machine": machine | {"versions": versions},
        "shape_name": name, "shape": dataclasses.asdict(shape), **how,
        "families": families, "overhead_seconds": overheads,
    }  # fmt: skip
