"""Parquet files: one column holds the text."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from fxformer.data import codes, reading
from fxformer.data.text import FileCorpus


@dataclasses.dataclass(kw_only=True)
class Parquet(FileCorpus):
    """A document is a value of `column`, its control code one of `code`; missing and blank ones are
    left out."""

    column: str = "text"

    def form(self) -> str:
        return self.column

    def documents_of(self, path: Path, how: reading.Reading) -> Iterator[str]:
        try:
            import pyarrow.parquet as pq
        except ImportError as problem:
            raise ValueError("data=parquet needs pyarrow: pip install pyarrow") from problem
        try:
            file = pq.ParquetFile(path)
        except (OSError, ValueError) as problem:
            raise ValueError(f"{path} is no Parquet file: {problem}") from None
        with file:
            wanted = {"column": self.column, "code": self.code}
            wanted = {knob: name for knob, name in wanted.items() if name is not None}
            for knob, name in wanted.items():
                if name not in file.schema_arrow.names:
                    names = ", ".join(file.schema_arrow.names)
                    raise ValueError(f"{path} has no column {name!r} (data.{knob}): {names}")
            columns = list(dict.fromkeys(wanted.values()))
            for part in file.iter_batches(batch_size=1024, columns=columns):
                for record in part.select(columns).to_pylist():
                    text = record[self.column]
                    if text is not None and not isinstance(text, str):
                        kind = type(text).__name__
                        raise ValueError(f"{path}: column {self.column!r} is no text but {kind}")
                    if text and text.strip():
                        yield self._coded(text, record, path)

    def _coded(self, text: str, record: dict, path: Path) -> str:
        if self.code is None:
            return text
        return codes.Coded(text, codes.field_of(record, self.code, str(path)))
