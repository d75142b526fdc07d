"""Table of settings over seeds: mean ± interval of each number, and only the keys that differ.

Runs that differ in their seed only are one row. As CSV, LaTeX (booktabs) or text.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.files import check_output
from fxformer.metrics.confidence import ConfidenceInterval
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import StoredRun

# Config keys that are no setting: runs that differ in these alone repeat each other.
NO_SETTING = ("seed", "name", "runs", "resume", "sweep", "search", "tracker", "energy")
DEFAULT = ("valid_loss", "valid_accuracy", "joules")  # numbers of the summary, those that there are
SUFFIXES = (".csv", ".tex")


@dataclasses.dataclass(frozen=True)
class MeanRow:
    """One setting. values: of the keys that differ; numbers: {name: mean with its interval}"""

    values: tuple[Any, ...]
    numbers: dict[str, ConfidenceInterval]
    n: int


@dataclasses.dataclass(frozen=True)
class MeanTable:
    """Settings in the order of their first run. keys: those that differ; numbers: the columns"""

    keys: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: tuple[MeanRow, ...]


def mean_table(
    settings: Sequence[Mapping[str, Any]],
    numbers: Sequence[Mapping[str, Any]],
    wanted: Sequence[str] = (),
) -> MeanTable:
    """The table of runs, given the setting and the numbers of each.

    wanted: names of numbers; none: those of DEFAULT that any run has, else all
    UserError for a name that no run has.
    """
    known = dict.fromkeys(name for own in numbers for name, v in own.items() if jsonl.is_number(v))
    for name in wanted:
        if name not in known:
            raise UserError(
                f"--number {name}: no run has it{nearest(name, known)}; there are "
                f"{', '.join(known) or 'none'}"
            )
    shown = tuple(wanted or [n for n in DEFAULT if n in known] or known)
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(settings):
        groups.setdefault(repr(sorted(one.items())), []).append(index)
    names = dict.fromkeys(key for one in settings for key in one)
    firsts = [settings[members[0]] for members in groups.values()]
    keys = tuple(key for key in names if len({repr(one.get(key)) for one in firsts}) > 1)
    rows = []
    for first, members in zip(firsts, groups.values(), strict=True):
        found = {name: _finite(numbers[n].get(name) for n in members) for name in shown}
        cells = {name: ConfidenceInterval.of(own) for name, own in found.items() if own}
        rows.append(MeanRow(tuple(first.get(key) for key in keys), cells, len(members)))
    return MeanTable(keys, shown, tuple(rows))


def of_runs(runs: Sequence[StoredRun], wanted: Sequence[str] = ()) -> MeanTable:
    """The table of finished runs: config keys, numbers of the summaries and the parameters."""
    done = [run for run in runs if run.status == "done"]
    if not done:
        raise UserError("no run is done; a table of means needs finished runs")
    settings = [setting_of(Redactor().value(run.config)) for run in done]
    return mean_table(settings, [summary_numbers(run) for run in done], wanted)


def summary_numbers(run: StoredRun) -> dict[str, Any]:
    """{name: value} of the summary of a run, and its parameters."""
    return {**(run.facts.get("summary") or {}), "parameters": run.facts.get("parameters")}


def setting_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """{dotted key: plain value} of a config, without what is no setting."""
    found: dict[str, Any] = {}

    def walk(node: Mapping[str, Any], path: str) -> None:
        for key, value in node.items():
            if isinstance(value, Mapping):
                walk(value, f"{path}{key}.")
            else:
                found[f"{path}{key}"] = jsonl.encode(value)

    walk({key: value for key, value in config.items() if key not in NO_SETTING}, "")
    return found


def _finite(values: Iterable[Any]) -> list[float]:
    return [float(v) for v in values if jsonl.is_number(v) and math.isfinite(v)]


def check_means(path: str, option: str) -> str | Path:
    """The path of a table, or "-" for the terminal. UserError for another ending than .csv or
    .tex, or where it cannot be written."""
    if path == "-":
        return path
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UserError(f"{option} {path}: the name must end in {' or '.join(SUFFIXES)}")
    return check_output(path, option)


def write_means(table: MeanTable, path: str | Path) -> None:
    """Write the table by the ending of its file, or print it as CSV for "-"."""
    text = to_latex(table) if str(path).lower().endswith(".tex") else to_csv(table)
    if path == "-":
        print(text, end="")
    else:
        jsonl.replace(Path(path), text)


def to_csv(table: MeanTable) -> str:
    """A row for each setting: keys, n, then mean, low, high and n of each number: a diverged run
    counts in the first n only."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    ends = [f"{name}{end}" for name in table.numbers for end in ("", ".low", ".high", ".n")]
    writer.writerow([*short_keys(table.keys), "n", *ends])
    for row in table.rows:
        cells: list[Any] = [*row.values, row.n]
        for name in table.numbers:
            one = row.numbers.get(name)
            cells += ["", "", "", 0] if one is None else [one.mean, one.low, one.high, one.n]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return file.getvalue()


def to_latex(table: MeanTable) -> str:
    """A tabular of the package booktabs; cells are mean ± half of the 95 % interval, and how many
    runs have a finite number where some have none."""
    columns = "l" * len(table.keys) + "r" * (1 + len(table.numbers))
    names = [*short_keys(table.keys), "n", *table.numbers]
    lines = [
        "% booktabs; mean and 95 % interval (Student's t) over runs that differ in their seed only",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        " & ".join(map(_escaped, names)) + r" \\",
        "\\midrule",
    ]
    for row in table.rows:
        values = ["--" if value is None else _escaped(str(value)) for value in row.values]
        cells = [_latex(row.numbers.get(name), row.n) for name in table.numbers]
        lines.append(" & ".join([*values, str(row.n), *cells]) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def short_keys(keys: Sequence[str]) -> list[str]:
    """Each key without the parts before its name, where the name alone is still unique."""
    lasts = [key.rpartition(".")[2] for key in keys]
    return [last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True)]


def _latex(one: ConfidenceInterval | None, runs: int) -> str:
    if one is None:
        return "--"
    fewer = "" if one.n == runs else f" ({one.n} of {runs})"
    if one.low is None or one.high is None:
        return f"${one.mean:.4g}${fewer}"
    half = (one.high - one.low) / 2
    if half == 0:
        return f"${one.mean:.4g} \\pm 0${fewer}"
    places = max(1 - math.floor(math.log10(half)), 0)  # two digits of the interval
    return f"${one.mean:.{places}f} \\pm {half:.{places}f}${fewer}"


def _escaped(text: str) -> str:
    spelled = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(spelled.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
