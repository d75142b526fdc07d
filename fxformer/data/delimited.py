"""CSV and TSV files: one column holds the text."""

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from fxformer.data import records, text_files
from fxformer.data.corpus_records import RecordCorpus
from fxformer.data.text import FileCorpus
from fxformer.errors import UserError


@dataclasses.dataclass(kw_only=True)
class Delimited(FileCorpus, RecordCorpus):
    """A document is a value of `column`, its control code one of `code`; the first row has the
    names. Quoted values may hold delimiters and line ends. Empty and blank ones are left out.

    delimiter: None: a tab in .tsv and .tab files, a comma in others
    quote: the character around values; None: quotes are text
    """

    column: str = "text"
    delimiter: str | None = None
    quote: str | None = '"'

    def __post_init__(self) -> None:
        super().__post_init__()
        for knob in ("delimiter", "quote"):
            one = getattr(self, knob)
            if one is not None and (len(one) != 1 or one in "\r\n"):
                raise UserError(f"data.{knob}={one!r}: wants one character, such as ';', or null")

    def form(self) -> str:
        return f"{self.column} {self.delimiter!r} {self.quote!r}"

    def documents_of(self, path: Path, how: text_files.ReadStats) -> Iterator[str]:
        csv.field_size_limit(text_files.LONGEST)
        tab = text_files.inner_suffix(path) in (".tsv", ".tab")
        lines = (line + "\n" for line in text_files.lines(text_files.read_text(path, how), how))
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
                    yield from self._text(dict(zip(names, _fitting(row, names, where),
                                                   strict=True)), where, how)  # fmt: skip
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

    def _text(self, record: dict[str, str], where: str, how: text_files.ReadStats) -> Iterator[str]:
        text = records.text(record, self.column, where, "data.column")
        made = self.document(record, text, where)
        if made is None:
            how.blank += 1
        else:
            yield made


def _fitting(row: list[str], names: list[str], where: str) -> list[str]:
    if len(row) != len(names):
        raise UserError(f"{where}: {len(row)} values, and the first row names {len(names)} columns")
    return row
