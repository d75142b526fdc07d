"""`fxformer runs --table FILE --metrics FILE`: runs for other people's tools, as CSV or Parquet.

The table has a row for each run: its record, its summary, its config, all under dotted names. The
metrics have a row for each logged line: run, split, step, then every number there is.
"""

import csv
import importlib.util
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.errors import UserError
from fxformer.files import check_output
from fxformer.track.redact import Redactor
from fxformer.track.run_reader import StoredRun

_FACTS = ("status", "reason", "started", "ended", "command", "sweep", "architecture", "parameters",
          "flops_per_token")  # fmt: skip
_LINE = {"run": str, "split": str, "step": int}
Row = Mapping[str, Any]


def table(runs: Sequence[StoredRun], path: str | Path) -> int:
    """Write the table of runs; returns how many rows. UserError for another ending of `path`."""
    rows = [_row(run) for run in runs]
    kinds: dict[str, type] = {}
    for row in rows:
        for name, value in row.items():
            kinds[name] = _common(kinds.get(name), value)
    return _writer(path)(path, kinds, [rows])


def metrics(runs: Sequence[StoredRun], path: str | Path) -> int:
    """Write all metrics, a run at a time; returns how many rows. UserError as above."""
    write = _writer(path)
    names: dict[str, type] = {}
    for run in runs:
        for line in StoredRun(run.folder).lines:  # not kept: all runs' lines may not fit memory
            names |= dict.fromkeys(
                k for k, v in line.items() if jsonl.is_number(v) and k not in _LINE
            )
    kinds = _LINE | dict.fromkeys(sorted(names), float)
    return write(path, kinds, (_lines(run) for run in runs))


def outputs(
    table_file: str | None, metrics_file: str | None
) -> list[tuple[Callable[[Sequence[StoredRun], str | Path], int], Path]]:
    """(`table` or `metrics`, its file) for each file that is given. UserError for a file that
    cannot be written, or whose format cannot."""
    asked = ((table, table_file, "--table"), (metrics, metrics_file, "--metrics"))
    found = [(write, check_output(file, option)) for write, file, option in asked if file]
    for _, file in found:
        _check_library(file)
    return found


def _lines(run: StoredRun) -> list[Row]:
    lines = StoredRun(run.folder).lines
    return [line | {"run": run.id} for line in lines if _is_step(line.get("step"))]


def _is_step(value: Any) -> bool:
    return jsonl.is_number(value) and math.isfinite(value)


def _row(run: StoredRun) -> dict[str, Any]:
    facts, redactor = run.facts, Redactor()
    row = {"run": run.id, **{name: facts.get(name) for name in _FACTS}, "status": run.status}
    row["commit"] = (facts.get("code") or {}).get("commit")
    _spread(facts.get("summary") or {}, "summary", row)
    try:
        config = run.config
    except UserError:
        config = {}
    row["reason"] = run.reason or None
    _spread(config, "config", row)
    return redactor.value(row)


def _spread(value: Any, name: str, row: dict[str, Any]) -> None:
    """A nest as dotted names; lists as JSON."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            _spread(one, f"{name}.{key}", row)
    else:
        row[name] = json.dumps(jsonl.encode(value)) if isinstance(value, (list, tuple)) else value


def _common(before: type | None, value: Any) -> type:
    """The kind of a column that holds `value` beside what it held before."""
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
    count = 0
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(kinds), extrasaction="ignore")
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
    """`value` in a column of `kind`; a number that is none there is no number."""
    if value is None or kind is type(None):
        return None
    if kind is str:
        return value if isinstance(value, str) else json.dumps(jsonl.encode(value))
    if not jsonl.is_number(value) or (kind is int and not abs(value) < 1 << 63):
        return None if kind is not bool else bool(value)
    return kind(value)
