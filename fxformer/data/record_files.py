"""Parsers of JSON Lines, CSV, TSV and Parquet files: their records, with the place of each."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.data import text_files
from fxformer.errors import UserError


def field_value(record: Any, key: str, where: str, knob: str) -> Any:
    """Value of a record under a dotted key: record["a"]["b"] for "a.b", or record["a.b"].

    where: the file or line, and knob: the option that holds the key, for the message
    Returns None where a value along the path is null.
    Raises UserError where a key is missing, with the keys that exist.
    """
    if isinstance(record, dict) and key in record:
        return record[key]
    found, path = record, []
    for part in key.split("."):
        if found is None and path:
            return None
        if not isinstance(found, dict) or part not in found:
            known = ", ".join(map(str, found)) if isinstance(found, dict) else kind(found)
            inside = f" under {'.'.join(path)!r}" if path else ""
            raise UserError(f"{where} has no {key!r} ({knob}); it has{inside}: {known}")
        found = found[part]
        path.append(part)
    return found


def field_text(record: Any, key: str, where: str, knob: str) -> str | None:
    """Text under a dotted key; None if null or blank. Raises UserError if it is not a string."""
    found = field_value(record, key, where, knob)
    if found is not None and not isinstance(found, str):
        raise UserError(f"{where}: {key!r} is not a string but {kind(found)}")
    return found if found and found.strip() else None


def kind(value: Any) -> str:
    """Name of the type of a value, for messages."""
    return type(value).__name__


def json_lines(
    path: Path, stats: text_files.ReadStats, start: int = 0, stop: int | None = None
) -> Iterator[tuple[Any, str]]:
    """(value, "FILE, line N") of each line of a JSON Lines file that is not blank. Raises UserError
    for a line that is not JSON or longer than `text_files.LONGEST`.

    start, stop: only of the lines that begin in these bytes, counted from there
    """
    parts = text_files.read_text(path, stats, start, stop)
    after = f" after byte {start}" if start else ""
    for number, line in enumerate(text_files.lines(parts, stats), 1):
        where = f"{path}, line {number}{after}"
        if stats.cut:
            raise UserError(f"{where}: more than {text_files.LONGEST} characters in one line")
        if line.strip():
            try:
                record = jsonl.value(line)
            except ValueError as problem:
                raise UserError(f"{where} is not JSON: {problem}") from None
            yield record, where


def without_surrogates(text: str, where: str, stats: text_files.ReadStats) -> str:
    r"""The text of a JSON string with lone surrogates (from escapes such as "\ud800") removed or
    replaced, as stats.encoding_errors says."""
    lone = sum("\ud800" <= c <= "\udfff" for c in text) if not text.isascii() else 0
    if not lone:
        return text
    if stats.encoding_errors == "strict":
        raise UserError(
            f"{where}: lone surrogate, which is not a character; "
            "correct the file, or set data.encoding_errors=replace|skip"
        )
    stats.bad_bytes += lone
    put = "\ufffd" if stats.encoding_errors == "replace" else ""
    return "".join(put if "\ud800" <= c <= "\udfff" else c for c in text)


def check_delimiters(delimiter: str | None, quote: str | None) -> None:
    """UserError unless delimiter and quote are single characters or None."""
    for knob, one in (("delimiter", delimiter), ("quote", quote)):
        if one is not None and (len(one) != 1 or one in "\r\n"):
            raise UserError(f"data.{knob}={one!r}: expected one character, such as ';', or null")


def delimited(
    path: Path, stats: text_files.ReadStats, delimiter: str | None, quote: str | None
) -> Iterator[tuple[list[str], str]]:
    """(values, "FILE, line N") of each row of a CSV or TSV file, the first one included; blank
    lines are left out. Quoted values may contain delimiters and line ends.

    delimiter: one character; None: `default_delimiter`
    quote: the character around values; None: quotes are ordinary text
    """
    csv.field_size_limit(text_files.LONGEST)
    lines = (line + "\n" for line in text_files.lines(text_files.read_text(path, stats), stats))
    rows = csv.reader(
        lines,
        delimiter=delimiter or default_delimiter(path),
        quotechar=quote,
        quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
        strict=True,
    )
    try:
        for row in rows:
            if row:
                yield row, f"{path}, line {rows.line_num}"
    except csv.Error as problem:
        raise UserError(
            f"{path}, line {rows.line_num}: {problem}; data.quote=null where quotes are text"
        ) from None


def default_delimiter(path: Path) -> str:
    """A tab for .tsv and .tab files, a comma for others."""
    return "\t" if text_files.inner_suffix(path) in (".tsv", ".tab") else ","


def delimiter_hint(names: list[str]) -> str:
    """What to write where a row of one value looks like several values; "" elsewhere."""
    hint = next((one for one in ";\t|" if len(names) == 1 and one in names[0]), None)
    return f"; write data.delimiter={hint!r}" if hint else ""


def ragged(row: list[str], names: list[str], where: str) -> str | None:
    """What is wrong with the number of values of a row; None where it fits."""
    if len(row) == len(names):
        return None
    return f"{where}: {len(row)} values, and the first row names {len(names)} columns"


def parquet(
    path: Path, choose: Callable[[list[str]], list[str] | None]
) -> Iterator[tuple[dict[str, Any], str]]:
    """(record, "FILE, row N") of each row of a Parquet file. Needs pyarrow.

    choose: from the names of all columns to those that are read; None: all
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as problem:
        raise UserError("Parquet files need pyarrow: pip install pyarrow") from problem
    try:
        file = pq.ParquetFile(path if isinstance(path, Path) else path.open("rb"))
    except (OSError, ValueError) as problem:
        raise UserError(f"{path} is not a Parquet file: {problem}") from None
    number = 0
    with file:
        columns = choose(file.schema_arrow.names)
        for part in file.iter_batches(batch_size=1024, columns=columns):
            for record in part.to_pylist():
                number += 1
                yield record, f"{path}, row {number}"
