"""Corpora of records: JSON Lines, Parquet, CSV and TSV; one field of a record holds its text."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from fxformer.data import control_codes, record_files, text_files
from fxformer.data.corpus_text import SplitCorpus
from fxformer.data.documents import Target
from fxformer.data.record_files import field_text, field_value
from fxformer.data.text import FileCorpus
from fxformer.data.units import FilePart
from fxformer.errors import UserError


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


@dataclasses.dataclass(kw_only=True)
class RecordCorpus(SplitCorpus):
    """Corpus of records: a field holds the text, others its control code or its source.

    source_field: key or column of the source text, for pairs of texts; the document is then the
        target. Pairs with a blank source or target are skipped
    """

    source_field: str | None = None

    def source_name(self) -> str | None:
        return self.source_field

    def wanted_columns(self, column: str) -> dict[str, str]:
        """Option -> name of a column, for the text and what else is read of a record."""
        named = {"column": column, "code": self.code, "source_field": self.source_field}
        return {knob: name for knob, name in named.items() if name is not None}

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

    def splittable(self, path: Path) -> bool:
        return path.suffix not in text_files.COMPRESSED

    def documents_of(self, part: FilePart, stats: text_files.ReadStats) -> Iterator[str]:
        for record, where in record_files.json_lines(part.path, stats, part.start, part.stop):
            yield from self._text(record, where, stats)

    def _text(self, record, where: str, stats: text_files.ReadStats) -> Iterator[str]:
        def repair(text: str) -> str:
            return record_files.without_surrogates(text, where, stats)

        text = field_text(record, self.key, where, "data.key")
        made = self.document(record, None if text is None else repair(text), where, repair)
        if made is None:
            stats.blank += 1
        else:
            yield made


@dataclasses.dataclass(kw_only=True)
class Parquet(FileCorpus, RecordCorpus):
    """Parquet files: a document is a value of `column`, its control code one of `code`.

    "a.b" is the field b of the struct a. Null and blank texts are skipped. Needs pyarrow.
    """

    column: str = "text"

    def content_options(self) -> str:
        return self.column

    def documents_of(self, part: FilePart, stats: text_files.ReadStats) -> Iterator[str]:
        path = part.path

        def columns(names: list[str]) -> list[str]:
            found = [
                _column(name, names, f"{path} has no column {name!r} (data.{knob})")
                for knob, name in self.wanted_columns(self.column).items()
            ]
            return list(dict.fromkeys(found))

        for record, where in record_files.parquet(path, columns):
            text = field_text(record, self.column, where, "data.column")
            made = self.document(record, text, where)
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
        record_files.check_delimiters(self.delimiter, self.quote)

    def content_options(self) -> str:
        return f"{self.column} {self.delimiter!r} {self.quote!r}"

    def documents_of(self, part: FilePart, stats: text_files.ReadStats) -> Iterator[str]:
        path, names = part.path, None
        rows = record_files.delimited(path, stats, self.delimiter, self.quote)
        for row, where in rows:
            if names is None:
                names = self._names(row, path)
            elif wrong := record_files.ragged(row, names, where):
                raise UserError(wrong)
            else:
                yield from self._text(dict(zip(names, row, strict=True)), where, stats)

    def _names(self, row: list[str], path: Path) -> list[str]:
        for knob, name in self.wanted_columns(self.column).items():
            if name not in row:
                known, more = ", ".join(row), record_files.delimiter_hint(row)
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
