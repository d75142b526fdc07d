"""Rows of a pipeline from files or standard input: lines of text, CSV or JSON lines."""

import csv
import dataclasses
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from fxformer import jsonl
from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.files import no_file, open_regular

FORMATS = ("text", "csv", "jsonl")
SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
MAX_LINE = 8_000_000  # bytes of a line that are kept


@dataclasses.dataclass(frozen=True)
class ColumnNames:
    """How a record of CSV or JSON lines becomes a row.

    names: keys that a row may have, e.g. question and context
    required: how many of them, from the first, a row must have
    chosen: the column that holds the text; None: `names`
    """

    names: tuple[str, ...] = ("text",)
    required: int = 1
    chosen: str | None = None

    def check(self, header: dict[str, Any], file: str) -> None:
        """Raise UserError unless the columns of a CSV file are those of a row."""
        for name in self.names[: self.required] if self.chosen is None else [self.chosen]:
            try:
                self._value(header, name)
            except UserError as error:
                raise UserError(f"{file}: {error}") from None

    def row(self, record: Any) -> Any:
        """The row of a record. UserError for a record without the columns."""
        if isinstance(record, str) and len(self.names[: self.required]) == 1:
            return record
        if not isinstance(record, dict):
            raise UserError(f"expected {' and '.join(self.names[: self.required])}, got a "
                            f"{type(record).__name__}")  # fmt: skip
        if self.chosen is not None:
            return self._value(record, self.chosen)
        found = {name: self._value(record, name) for name in self.names[: self.required]}
        found |= {n: record[n] for n in self.names[self.required :] if record.get(n) is not None}
        return next(iter(found.values())) if len(found) == 1 else found

    def _value(self, record: dict[str, Any], name: str) -> Any:
        if name not in record:
            raise UserError(
                f"no column {name!r}{nearest(name, record)}; there are "
                f"{', '.join(map(str, record)) or 'none'} (--column NAME chooses)"
            )
        return record[name]


def check_files(files: Sequence[str]) -> None:
    """Raise UserError for a file that is not there."""
    for file in files:
        if file != "-" and not Path(file).expanduser().is_file():
            wrong = no_file(Path(file).expanduser()) or "no such file"
            raise UserError(f"{file}: {wrong}; - is standard input")


def read_rows(
    files: Sequence[str], columns: ColumnNames, form: str | None = None
) -> Iterator[tuple[str, int, Any]]:
    """(file, row number from 1, row) of all files in order; - or no file: standard input.

    form: one of FORMATS; None: by the file's suffix, else text. A line that cannot be read gives a
    UserError as its row.
    """
    for file in files or ("-",):
        kind = form or SUFFIXES.get(Path(file).suffix.lower(), "text")
        if file == "-":
            yield from _rows(file, _records(sys.stdin.buffer, kind), columns)
            continue
        with open_regular(Path(file).expanduser()) as opened:
            yield from _rows(file, _records(opened, kind), columns)


class Header(list[str]):
    """The first line of a CSV file."""


def _rows(
    file: str, records: Iterable[Any], columns: ColumnNames
) -> Iterator[tuple[str, int, Any]]:
    """(file, row number, row) of the records of a file. UserError for a header without a column."""
    number = 0
    for record in records:
        if isinstance(record, Header):
            columns.check(dict.fromkeys(record), file)
            continue
        number += 1
        yield file, number, _row(record, columns)


def _row(record: Any, columns: ColumnNames) -> Any:
    if isinstance(record, UserError):
        return record
    try:
        return columns.row(record)
    except UserError as error:
        return error


def _records(file: BinaryIO, kind: str) -> Iterator[Any]:
    """A text, a JSON value or a dict for each row, or the UserError that reading it gave."""
    lines = _lines(file)
    if kind == "csv":
        yield from _csv(lines)
        return
    for line in lines:
        if kind == "text" or isinstance(line, UserError):
            yield line.rstrip("\r\n") if isinstance(line, str) else line
            continue
        try:
            yield jsonl.value(line)
        except ValueError as error:
            yield UserError(f"no JSON: {error}")


def _csv(lines: Iterable[str | UserError]) -> Iterator[Any]:
    """Records of CSV with a header line; a line that cannot be read is a record of its own."""
    csv.field_size_limit(MAX_LINE)
    wrong: list[UserError] = []

    def good() -> Iterator[str]:
        for line in lines:
            if isinstance(line, UserError):
                wrong.append(line)
                yield "\n"
            else:
                yield line

    reader = csv.reader(good())
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield UserError(f"no CSV: {error}")
            continue
        if wrong:
            yield wrong.pop(0)
        elif header is None:
            header = cells
            yield Header(cells)
        elif len(cells) > len(header):
            yield UserError(f"{len(cells)} cells, and the header has {len(header)}")
        elif cells:
            yield dict(zip(header, cells, strict=False))


def _lines(file: BinaryIO) -> Iterator[str | UserError]:
    """Lines in UTF-8 with their ends; one that is too long or no UTF-8 gives a UserError."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            size = len(line)
            while not line.endswith(b"\n") and (line := file.readline(MAX_LINE)):
                size += len(line)
            yield UserError(f"the line has {size:,} bytes, at most {MAX_LINE:,} are read")
            continue
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            yield UserError(f"the line is no UTF-8: {error.reason} at byte {error.start}")
