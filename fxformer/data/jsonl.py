"""JSON Lines: one object a line, one of its values the text."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from fxformer import jsonl
from fxformer.data import records, text_files
from fxformer.data.corpus_records import RecordCorpus
from fxformer.data.text import FileCorpus
from fxformer.errors import UserError


@dataclasses.dataclass(kw_only=True)
class JsonLines(FileCorpus, RecordCorpus):
    """A document is the string under `key`, its control code the value under `code`, where "a.b"
    is the key b of the object under a; null and blank ones are left out."""

    key: str = "text"

    def form(self) -> str:
        return self.key

    def documents_of(self, path: Path, how: text_files.ReadStats) -> Iterator[str]:
        for number, line in enumerate(text_files.lines(text_files.read_text(path, how), how), 1):
            if how.cut:
                raise UserError(
                    f"{path}, line {number}: more than {text_files.LONGEST} characters in one line"
                )
            if not line.strip():
                continue
            try:
                record = jsonl.value(line)
            except ValueError as problem:
                raise UserError(f"{path}, line {number} is not JSON: {problem}") from None
            yield from self._text(record, f"{path}, line {number}", how)

    def _text(self, record, where: str, how: text_files.ReadStats) -> Iterator[str]:
        def mend(text: str) -> str:
            return self._mended_text(text, where, how)

        text = records.text(record, self.key, where, "data.key")
        made = self.document(record, None if text is None else mend(text), where, mend)
        if made is None:
            how.blank += 1
        else:
            yield made

    def _mended_text(self, text: str, where: str, how: text_files.ReadStats) -> str:
        """The text without halves of surrogate pairs."""
        lone = sum("\ud800" <= c <= "\udfff" for c in text) if not text.isascii() else 0
        if lone and self.encoding_errors == "strict":
            raise UserError(
                f"{where}: half of a surrogate pair, which is no character; "
                "mend it, or set data.encoding_errors=replace|skip"
            )
        if lone:
            how.bad_bytes += lone
            put = "\ufffd" if self.encoding_errors == "replace" else ""
            text = "".join(put if "\ud800" <= c <= "\udfff" else c for c in text)
        return text
