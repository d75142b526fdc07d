"""Corpora of records: one field holds the text, others what belongs to it."""

import dataclasses
from collections.abc import Callable

from fxformer.data import control_codes, records
from fxformer.data.corpus_text import HeldOut
from fxformer.data.text_pairs import Target


@dataclasses.dataclass(kw_only=True)
class RecordCorpus(HeldOut):
    """source_field: the key or column of the source text, for pairs of texts; the document is then
    the target. A pair with a blank source is left out, as one with a blank target is."""

    source_field: str | None = None

    def source_name(self) -> str | None:
        return self.source_field

    def document(
        self, record: dict, text: str | None, where: str, mend: Callable[[str], str] = str
    ) -> str | None:
        """The text with its control code or its source; None where it or the source is blank.

        mend: applied to the source, as it was to the text
        """
        if text is None or not text.strip():
            return None
        if self.code is not None:
            return control_codes.Coded(text, control_codes.field_of(record, self.code, where))
        if self.source_field is None:
            return text
        source = records.text(record, self.source_field, where, "data.source_field")
        source = None if source is None else mend(source)
        return Target(text, source) if source and source.strip() else None
