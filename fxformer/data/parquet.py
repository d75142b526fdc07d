"""Parquet files: one column holds the text."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from fxformer.data import records, text_files
from fxformer.data.corpus_records import RecordCorpus
from fxformer.data.text import FileCorpus
from fxformer.errors import UserError


@dataclasses.dataclass(kw_only=True)
class Parquet(FileCorpus, RecordCorpus):
    """A document is a value of `column`, its control code one of `code`, where "a.b" is the field b
    of the struct a; null and blank ones are left out."""

    column: str = "text"

    def form(self) -> str:
        return self.column

    def documents_of(self, path: Path, how: text_files.ReadStats) -> Iterator[str]:
        try:
            import pyarrow.parquet as pq
        except ImportError as problem:
            raise UserError("data=parquet needs pyarrow: pip install pyarrow") from problem
        try:
            file = pq.ParquetFile(path)
        except (OSError, ValueError) as problem:
            raise UserError(f"{path} is no Parquet file: {problem}") from None
        with file:
            names = file.schema_arrow.names
            asked = {"column": self.column, "code": self.code,
                     "source_field": self.source_field}  # fmt: skip
            columns = [
                _column(name, names, f"{path} has no column {name!r} (data.{knob})")
                for knob, name in asked.items()
                if name is not None
            ]
            for part in file.iter_batches(batch_size=1024, columns=list(dict.fromkeys(columns))):
                for record in part.to_pylist():
                    text = records.text(record, self.column, str(path), "data.column")
                    made = self.document(record, text, str(path))
                    if made is None:
                        how.blank += 1
                    else:
                        yield made


def _column(name: str, names: list[str], lacking: str) -> str:
    """The column of a dotted name. UserError where there is none."""
    found = name if name in names else name.split(".")[0]
    if found not in names:
        raise UserError(f"{lacking}: {', '.join(names)}")
    return found
