"""Means, standard errors and the table of `benchmarks finetune`."""

import math
import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def mean_error(values: Sequence[float]) -> tuple[float, float | None]:
    """(mean, its standard error; None of one value)."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return statistics.fmean(values), error


def seeds_of(metric: str, runs: Sequence[dict]) -> dict:
    """The compared metric over the seeds on both sides."""
    ours = mean_error([one["metrics"][metric] for one in runs])
    theirs = mean_error([one["their_metrics"][metric] for one in runs])
    apart, errors = ours[0] - theirs[0], [one for one in (ours[1], theirs[1]) if one is not None]
    return {
        "metric": metric,
        "ours": {"mean": ours[0], "error": ours[1]},
        "theirs": {"mean": theirs[0], "error": theirs[1]},
        "difference": apart,
        "within_one_error": abs(apart) <= math.hypot(*errors) if errors else None,
        "ratio": pooled([one["ratio"] for one in runs if "ratio" in one]),
        "ratio_cpu": pooled([one["ratio_cpu"] for one in runs if "ratio_cpu" in one]),
    }


def pooled(ratios: Sequence[dict[str, float]]) -> dict[str, float] | None:
    """Median over the seeds of medians and quartiles."""
    if not ratios:
        return None
    return {name: statistics.median(one[name] for one in ratios) for name in ratios[0]}


def rows(found: dict[str, dict]) -> list[list[str]]:
    """The cells of the table, a row for each task."""
    made = []
    for name, one in found.items():
        first = one["runs"][0]
        made.append([
            name, one["metric"], *(_value(one[side]) for side in ("ours", "theirs")),
            f"{one['difference']:+.4f}", _ratio(one["ratio"]), _ratio(one["ratio_cpu"]),
            f"{first['peak_mb']:,.0f} / {first['their_peak_mb']:,.0f}",
            f"{one['parity']['first']:.0e} / {one['parity']['largest']:.0e}",
        ])  # fmt: skip
    return made


HEADERS = ("task", "metric", "here", "transformers", "difference", "time", "CPU time", "peak MB",
           "loss: first / all")  # fmt: skip


def show(console: Console, found: dict[str, dict]) -> None:
    """The table for the person."""
    table = Table(
        caption="mean ± standard error over seeds; time: theirs / ours, median (quartiles)"
    )
    for name in HEADERS:
        table.add_column(name, justify="left" if name in ("task", "metric") else "right")
    for row in rows(found):
        table.add_row(*row)
    console.print(table)


def markdown(found: dict[str, dict]) -> str:
    """The same for a page."""
    lines = [HEADERS, ["---"] * len(HEADERS), *rows(found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _value(one: dict) -> str:
    error = "" if one["error"] is None else f" ± {one['error']:.4f}"
    return f"{one['mean']:.4f}{error}"


def _ratio(one: dict[str, float] | None) -> str:
    return "" if one is None else f"{one['median']:.2f} ({one['low']:.2f}–{one['high']:.2f})"
