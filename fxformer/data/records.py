"""Corpora of records: JSON Lines, Parquet, CSV and TSV; one field of a record holds its text."""

import csv
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fxformer import jsonl
from fxformer.data import control_codes, text_files
from fxformer.data.corpus_text import SplitCorpus
from fxformer.data.documents import Target
from fxformer.data.text import FileCorpus
from fxformer.errors import UserError


def field_value(record: Any, key: str, where: str, knob: str) -> Any:
    """Value of a record under a dotted key: record["a"]["b"] for "a.b", or record["a.b"].

    where: the file or line, and knob: the option that holds the key, for the message
    Returns None where a value along the path is null.
    Raises UserError where a key is missing, with the keys that exist.
    """
    if isinstance(record, Mapping) and key in record:
        return record[key]
    found, path = record, []
    for part in key.split("."):
        if found is None and path:
            return None
        if not isinstance(found, Mapping) or part not in found:
            known = ", ".join(map(str, found)) if isinstance(found, Mapping) else _kind(found)
            inside = f" under {'.'.join(path)!r}" if path else ""
            raise UserError(f"{where} has no {key!r} ({knob}); it has{inside}: {known}")
        found = found[part]
        path.append(part)
    return found


def field_text(record: Any, key: str, where: str, knob: str) -> str | None:
    """Text under a dotted key; None if null or blank. Raises UserError if it is not a string."""
    found = field_value(record, key, where, knob)
    if found is not None and not isinstance(found, str):
        raise UserError(f"{where}: {key!r} is not a string but {_kind(found)}")
    return found if found and found.strip() else None


def control_code(record: dict, key: str, where: str) -> str:
    """Control code under a dotted key, a string or an int. Raises UserError where there is none."""
    try:
        code = field_value(record, key, where, "data.code")
    except UserError:
        code = None
    if isinstance(code, bool) or not isinstance(code, str | int) or code == "":
        known = ", ".join(map(str, record))
        raise UserError(f"{where} has no control code under {key!r} (data.code); it has: {known}")
    return str(code)


def _kind(one: Any) -> str:
    return type(one).__name__


@dataclasses.dataclass(kw_only=True)
class RecordCorpus(SplitCorpus):
    """Corpus of records: a field holds the text, others its control code or its source.

    source_field: key or column of the source text, for pairs of texts; the document is then the
        target. Pairs with a blank source or target are skipped
    """

    source_field: str | None = None

    def source_name(self) -> str | None:
        return self.source_field

    def document(
        self, record: dict, text: str | None, where: str, repair: Callable[[str], str] = str
    ) -> str | None:
        """The text with its control code or its source; None where the text or the source is blank.

        repair: applied to the source, as it was to the text
        """
        if text is None or not text.strip():
            return None
        if self.code is not None:
            return control_codes.Coded(text, control_code(record, self.code, where))
        if self.source_field is None:
            return text
        source = field_text(record, self.source_field, where, "data.source_field")
        source = None if source is None else repair(source)
        return Target(text, source) if source and source.strip() else None


@dataclasses.dataclass(kw_only=True)
class JsonLines(FileCorpus, RecordCorpus):
    """JSON Lines files: one JSON object per line.

    A document is the string under `key`, its control code the value under `code`; "a.b" is the key
    b of the object under a. Null and blank texts are skipped.
    """

    key: str = "text"

    def content_options(self) -> str:
        return self.key

    def documents_of(self, path: Path, stats: text_files.ReadStats) -> Iterator[str]:
        for number, line in enumerate(
            text_files.lines(text_files.read_text(path, stats), stats), 1
        ):
            if stats.cut:
                raise UserError(
                    f"{path}, line {number}: more than {text_files.LONGEST} characters in one line"
                )
            if not line.strip():
                continue
            try:
                record = jsonl.value(line)
            except ValueError as problem:
                raise UserError(f"{path}, line {number} is not JSON: {problem}") from None
            yield from self._text(record, f"{path}, line {number}", stats)

    def _text(self, record, where: str, stats: text_files.ReadStats) -> Iterator[str]:
        def repair(text: str) -> str:
            return self._without_surrogates(text, where, stats)

        text = field_text(record, self.key, where, "data.key")
        made = self.document(record, None if text is None else repair(text), where, repair)
        if made is None:
            stats.blank += 1
        else:
            yield made

    def _without_surrogates(self, text: str, where: str, stats: text_files.ReadStats) -> str:
        """The text with lone surrogates removed or replaced, as encoding_errors says."""
        lone = sum("\ud800" <= c <= "\udfff" for c in text) if not text.isascii() else 0
        if lone and self.encoding_errors == "strict":
            raise UserError(
                f"{where}: lone surrogate, which is not a character; "
                "correct the file, or set data.encoding_errors=replace|skip"
            )
        if lone:
            stats.bad_bytes += lone
            put = "\ufffd" if self.encoding_errors == "replace" else ""
            text = "".join(put if "\ud800" <= c <= "\udfff" else c for c in text)
        return text


@dataclasses.dataclass(kw_only=True)
class Parquet(FileCorpus, RecordCorpus):
    """Parquet files: a document is a value of `column`, its control code one of `code`.

    "a.b" is the field b of the struct a. Null and blank texts are skipped. Needs pyarrow.
    """

    column: str = "text"

    def content_options(self) -> str:
        return self.column

    def documents_of(self, path: Path, stats: text_files.ReadStats) -> Iterator[str]:
        try:
            import pyarrow.parquet as pq
        except ImportError as problem:
            raise UserError("data=parquet needs pyarrow: pip install pyarrow") from problem
        try:
            file = pq.ParquetFile(path)
        except (OSError, ValueError) as problem:
            raise UserError(f"{path} is not a Parquet file: {problem}") from None
        with file:
            names = file.schema_arrow.names
            fields = {"column": self.column, "code": self.code,
                     "source_field": self.source_field}  # fmt: skip
            columns = [
                _column(name, names, f"{path} has no column {name!r} (data.{knob})")
                for knob, name in fields.items()
                if name is not None
            ]
            for part in file.iter_batches(batch_size=1024, columns=list(dict.fromkeys(columns))):
                for record in part.to_pylist():
                    text = field_text(record, self.column, str(path), "data.column")
                    made = self.document(record, text, str(path))
                    if made is None:
                        stats.blank += 1
                    else:
                        yield made


def _column(name: str, names: list[str], lacking: str) -> str:
    """Column that holds a dotted name. Raises UserError where there is none."""
    found = name if name in names else name.split(".")[0]
    if found not in names:
        raise UserError(f"{lacking}: {', '.join(names)}")
    return found


@dataclasses.dataclass(kw_only=True)
class Delimited(FileCorpus, RecordCorpus):
    """CSV and TSV files: a document is a value of `column`, its control code one of `code`.

    The first row names the columns. Quoted values may contain delimiters and line ends. Empty and
    blank texts are skipped.

    delimiter: one character; None: a tab in .tsv and .tab files, a comma in others
    quote: the character around values; None: quotes are ordinary text
    """

    column: str = "text"
    delimiter: str | None = None
    quote: str | None = '"'

    def __post_init__(self) -> None:
        super().__post_init__()
        for knob in ("delimiter", "quote"):
            one = getattr(self, knob)
            if one is not None and (len(one) != 1 or one in "\r\n"):
                raise UserError(
                    f"data.{knob}={one!r}: expected one character, such as ';', or null"
                )

    def content_options(self) -> str:
        return f"{self.column} {self.delimiter!r} {self.quote!r}"

    def documents_of(self, path: Path, stats: text_files.ReadStats) -> Iterator[str]:
        csv.field_size_limit(text_files.LONGEST)
        tab = text_files.inner_suffix(path) in (".tsv", ".tab")
        lines = (line + "\n" for line in text_files.lines(text_files.read_text(path, stats), stats))
        rows = csv.reader(
            lines,
            delimiter=self.delimiter or ("\t" if tab else ","),
            quotechar=self.quote,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            strict=True,
        )
        names: list[str] | None = None
        try:
            for row in rows:
                if names is None:
                    names = self._names(row, path)
                elif row:
                    where = f"{path}, line {rows.line_num}"
                    yield from self._text(dict(zip(names, _checked(row, names, where),
                                                   strict=True)), where, stats)  # fmt: skip
        except csv.Error as problem:
            raise UserError(f"{path}, line {rows.line_num}: {problem}; data.quote=null where "
                             "quotes are text") from None  # fmt: skip

    def _names(self, row: list[str], path: Path) -> list[str]:
        wanted = {"column": self.column, "code": self.code, "source_field": self.source_field}
        for knob, name in wanted.items():
            if name is not None and name not in row:
                known = ", ".join(row)
                hint = next((one for one in ";\t|" if len(row) == 1 and one in row[0]), None)
                more = f"; write data.delimiter={hint!r}" if hint else ""
                raise UserError(f"{path} has no column {name!r} (data.{knob}): {known}{more}")
        return row

    def _text(
        self, record: dict[str, str], where: str, stats: text_files.ReadStats
    ) -> Iterator[str]:
        text = field_text(record, self.column, where, "data.column")
        made = self.document(record, text, where)
        if made is None:
            stats.blank += 1
        else:
            yield made


def _checked(row: list[str], names: list[str], where: str) -> list[str]:
    if len(row) != len(names):
        raise UserError(f"{where}: {len(row)} values, and the first row names {len(names)} columns")
    return row
