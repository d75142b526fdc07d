"""Reading of published bias data sets: what is wrong is said by file and row, never by text."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fxformer.errors import UserError
from fxformer.files import read_bytes

LONGEST = 200_000_000  # bytes of a file


def located(audit: str, names: Sequence[str], root: str | None, files: Sequence[str]) -> list[Path]:
    """The files of an audit, in the order of `names`.

    root: a folder that holds them, or holds a folder of the audit's name with them
    files: paths instead of root; their names end as the published ones do, except of a single file
    Raises UserError for a missing file.
    """
    if files:
        return _given(audit, names, [Path(file).expanduser() for file in files])
    if root is None:
        raise UserError(
            f"{audit} needs its published files ({', '.join(names)}): write data.root=FOLDER, or "
            f"--audit {audit} --files FILE ..."
        )
    top = Path(root).expanduser()
    if not top.is_dir():
        raise UserError(f"data.root={root}: there is no such folder")
    found = []
    for name in names:
        places = [top / name, top / audit / name]
        file = next((one for one in places if one.is_file()), None)
        if file is None:
            raise UserError(
                f"{audit}: there is no {name} in {root} or {top / audit}; --audit NAME chooses "
                "audits, --files names files"
            )
        found.append(file)
    return found


def _given(audit: str, names: Sequence[str], files: list[Path]) -> list[Path]:
    if missing := [file for file in files if not file.is_file()]:
        raise UserError(f"--files {missing[0]}: there is no such file")
    if len(names) == 1 and len(files) == 1:
        return files
    chosen = []
    for name in names:
        same = [file for file in files if file.name.endswith(name)]
        if len(same) != 1:
            raise UserError(f"--files: {audit} needs one file {name}, got {len(same)}")
        chosen.append(same[0])
    return chosen


def text_of(file: Path) -> str:
    """The text of a UTF-8 file. UserError for anything else."""
    try:
        if file.stat().st_size > LONGEST:
            raise UserError(f"{file}: is larger than {LONGEST // 1_000_000} MB")
        return read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start
        raise UserError(f"{file}: is not UTF-8 text at byte {place}") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None


def csv_rows(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file as {column: value}. UserError for a damaged one or a missing column."""
    reader = csv.reader(io.StringIO(text_of(file), newline=""), strict=True)
    try:
        rows = [row for row in reader if row]
    except csv.Error:
        raise UserError(f"{file}, line {reader.line_num}: is no CSV; is a quote open?") from None
    header = rows[0] if rows else []
    if missing := [name for name in columns if name not in header]:
        raise UserError(f"{file}: has no column {missing[0]}; expected {', '.join(columns)}")
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise UserError(
                f"{file}, row {number}: has {len(row)} values, and the header {len(header)}"
            )
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def json_value(file: Path) -> Any:
    """The value of a JSON file. UserError for a damaged one."""
    try:
        return json.loads(text_of(file))
    except json.JSONDecodeError as error:
        raise UserError(f"{file}, line {error.lineno}: is no JSON") from None
    except RecursionError:
        raise UserError(f"{file}: is nested too deeply") from None
