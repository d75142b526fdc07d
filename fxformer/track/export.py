"""Export of runs as CSV or Parquet: `fxformer runs --table FILE --metrics FILE`.

The table has a row for each run: run.json, its summary and its config, under dotted names, and the
scores of labelled tasks with their intervals; printed to the terminal (`--table -`) it has the main
columns only. The metrics have a row for each logged line: run, split, step, then all its numbers.
Numbers of metrics with different signatures have columns of their own.
"""

import csv
import importlib.util
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from fxformer import jsonl
from fxformer.errors import UserError
from fxformer.files import check_output
from fxformer.metrics.columns import titles
from fxformer.track.evaluations import evaluations_of, score_columns, signatures_of
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import StoredRun

_FACTS = ("status", "reason", "started", "ended", "command", "sweep", "architecture", "parameters",
          "flops_per_token")  # fmt: skip
_LINE: dict[str, type] = {"run": str, "split": str, "step": int}
# Columns that `--table -` prints, followed by the config keys in which the runs differ.
_MAIN = ("run", "status", "started", "architecture", "parameters", "summary.valid_loss",
         "summary.best", "summary.joules", "summary.kwh", "summary.gco2e")  # fmt: skip
_INCIDENTAL = ("config.resume", "config.runs", "config.sweep")  # they differ without a choice
SCORES = "scores."  # begins the columns of scores: scores.test.accuracy, .low and .high
Row = Mapping[str, Any]


def table(runs: Sequence[StoredRun], path: str | Path) -> int:
    """Write the table of runs with all columns, the main ones first; returns how many rows.
    UserError for another ending of `path`."""
    rows = _rows(runs)
    columns = main_columns(rows)
    kinds: dict[str, type] = {}
    for name in columns:
        kinds[name] = type(None)
    for row in rows:
        for name, value in row.items():
            kinds[name] = _common(kinds.get(name), value)
    return _writer(path)(path, kinds, [rows])


def print_table(runs: Sequence[StoredRun], file: IO[str]) -> None:
    """Write the main columns of the table of runs as CSV to an open file."""
    rows = _rows(runs)
    _write_csv(file, main_columns(rows), [rows])


def main_columns(rows: Sequence[Row]) -> list[str]:
    """The main columns that any row has, scores, and the config keys in which the rows differ."""
    names = dict.fromkeys(name for row in rows for name in row)
    scores = [name for name in names if name.startswith(SCORES)]
    config = [n for n in names if n.startswith("config.") and n not in _INCIDENTAL]
    differing = [n for n in config if len({repr(row.get(n)) for row in rows}) > 1]
    return [name for name in _MAIN if name in names] + scores + differing


def metrics(runs: Sequence[StoredRun], path: str | Path) -> int:
    """Write all metrics, a run at a time; returns how many rows. UserError as above."""
    write = _writer(path)
    logged: list[dict[str, Any]] = []  # names of each run, as ordered sets
    columns = _MetricNames()
    for run in runs:
        names: dict[str, Any] = {}
        for line in StoredRun(run.folder).lines:  # not cached: those of all runs may not fit memory
            names |= dict.fromkeys(
                k for k, v in line.items() if jsonl.is_number(v) and k not in _LINE
            )
        logged.append(names)
        columns.add(run, names)
    pairs = zip(runs, logged, strict=True)
    made = {columns(run, name) for run, names in pairs for name in names}
    kinds = _LINE | dict.fromkeys(sorted(made), float)
    return write(path, kinds, (_lines(run, columns) for run in runs))


def outputs(
    table_file: str | None, metrics_file: str | None
) -> list[tuple[Callable[[Sequence[StoredRun], str | Path], int], Path]]:
    """(`table` or `metrics`, its file) for each file that is given. UserError for a file that
    cannot be written, or whose format cannot."""
    files = ((table, table_file, "--table"), (metrics, metrics_file, "--metrics"))
    found = [(write, check_output(file, option)) for write, file, option in files if file]
    for _, file in found:
        _check_library(file)
    return found


class _MetricNames:
    """Column of a logged number: its name, with settings where runs have it by other signatures."""

    def __init__(self) -> None:
        self._signatures: dict[Path, dict[str, str]] = {}
        self._found: dict[str, dict[str, None]] = {}

    def add(self, run: StoredRun, names: Iterable[str]) -> None:
        """Note that a run has logged these numbers."""
        known = self._signatures[run.folder] = signatures_of(run.facts)
        for name in names:
            plain = name.removeprefix("ema_")
            self._found.setdefault(plain, {})[known.get(plain, "")] = None

    def __call__(self, run: StoredRun, name: str) -> str:
        plain = name.removeprefix("ema_")
        if plain not in self._found:
            return name
        title = titles(plain, list(self._found[plain]))
        return name[: -len(plain)] + title[self._signatures[run.folder].get(plain, "")]


def _lines(run: StoredRun, columns: _MetricNames) -> list[Row]:
    return [
        {name if name in _LINE else columns(run, name): value for name, value in line.items()}
        | {"run": run.id}
        for line in StoredRun(run.folder).lines
        if _is_step(line.get("step"))
    ]


def _is_step(value: Any) -> bool:
    return jsonl.is_number(value) and math.isfinite(value)


def _rows(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """A row for each run. Scores stand for the numbers of the same name in the summary."""
    evaluated = [evaluations_of(run.facts) for run in runs]
    columns = score_columns(evaluated)
    rows = []
    for run, own in zip(runs, evaluated, strict=True):
        row = _row(run)
        for column in columns:
            if (score := column.score(own)) is not None:
                row.pop(f"summary.{column.split}_{column.name}", None)
                name = f"{SCORES}{column.title.replace(' ', '.', 1)}"
                row |= {name: score.value, f"{name}.low": score.low, f"{name}.high": score.high}
        rows.append(row)
    return rows


def _row(run: StoredRun) -> dict[str, Any]:
    facts, redactor = run.facts, Redactor()
    row = {"run": run.id, **{name: facts.get(name) for name in _FACTS}, "status": run.status}
    row["commit"] = (facts.get("code") or {}).get("commit")
    _flatten(facts.get("summary") or {}, "summary", row)
    try:
        config = run.config
    except UserError:
        config = {}
    row["reason"] = run.reason or None
    _flatten(config, "config", row)
    return redactor.value(row)


def _flatten(value: Any, name: str, row: dict[str, Any]) -> None:
    """Add nested mappings as dotted names; lists as JSON."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            _flatten(one, f"{name}.{key}", row)
    else:
        row[name] = json.dumps(jsonl.encode(value)) if isinstance(value, (list, tuple)) else value


def _common(before: type | None, value: Any) -> type:
    """The type of a column that holds `value` and values of type `before`."""
    if value is None:
        return before or type(None)
    own = type(value)
    if before in (None, type(None), own):
        return own
    return float if {before, own} == {int, float} else str


def _writer(path: str | Path) -> Callable[[str | Path, dict[str, type], Iterable], int]:
    writers = {".csv": _csv, ".parquet": _parquet}
    ending = Path(path).suffix.lower()
    if ending not in writers:
        raise UserError(f"{path}: the name must end in {' or '.join(writers)}")
    return writers[ending]


def _check_library(path: str | Path) -> None:
    if _writer(path) is _parquet and not importlib.util.find_spec("pyarrow"):
        raise UserError(f"{path}: Parquet needs `pip install 'fxformer[parquet]'`")


def _csv(path: str | Path, kinds: dict[str, type], parts: Iterable[Sequence[Row]]) -> int:
    with open(path, "w", encoding="utf-8", newline="") as file:
        return _write_csv(file, list(kinds), parts)


def _write_csv(file: IO[str], names: Sequence[str], parts: Iterable[Sequence[Row]]) -> int:
    writer, count = csv.DictWriter(file, list(names), extrasaction="ignore"), 0
    writer.writeheader()
    for rows in parts:
        writer.writerows(rows)
        count += len(rows)
    return count


def _parquet(path: str | Path, kinds: dict[str, type], parts: Iterable[Sequence[Row]]) -> int:
    _check_library(path)
    import pyarrow as arrow
    from pyarrow import parquet

    types = {bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64()}
    schema = arrow.schema([(name, types.get(kind, arrow.string())) for name, kind in kinds.items()])
    count = 0
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in parts:
            columns = {name: [_as(kind, row.get(name)) for row in rows]
                       for name, kind in kinds.items()}  # fmt: skip
            writer.write_table(arrow.table(columns, schema=schema))
            count += len(rows)
    return count


def _as(kind: type, value: Any) -> Any:
    """`value` in a column of type `kind`; None where it cannot be converted."""
    if value is None or kind is type(None):
        return None
    if kind is str:
        return value if isinstance(value, str) else json.dumps(jsonl.encode(value))
    if not jsonl.is_number(value) or (kind is int and not abs(value) < 1 << 63):
        return None if kind is not bool else bool(value)
    return kind(value)
