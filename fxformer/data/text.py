"""Corpora of files, and of plain text files."""

import dataclasses
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from fxformer.data import control_codes, file_hash, text_files
from fxformer.data.corpus_text import SplitCorpus
from fxformer.data.survey import Survey
from fxformer.data.units import FilePart, Unit, file_units
from fxformer.errors import UserError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True)
class FileCorpus(SplitCorpus):
    """Corpus read from files; a subclass parses a file into documents.

    files: glob pattern, or several; ** descends into folders; .gz, .bz2, .xz and .zst are
        decompressed
    valid_files: the same for the valid split; None holds out a share of `files`
    encoding_errors: what happens to bytes that are not UTF-8: refused, replaced (U+FFFD), skipped;
        they are counted in the facts
    """

    files: str | list[str] | None
    valid_files: str | list[str] | None = None
    encoding_errors: text_files.Errors = "strict"

    def __post_init__(self) -> None:
        self._listed: dict[str, tuple[list[Path], list[Path]]] = {}

    @abstractmethod
    def documents_of(self, part: FilePart, stats: text_files.ReadStats) -> Iterator[str]:
        """Documents of a file, or of a part of it where `splittable` says so; counts in `stats`
        what was repaired or skipped."""

    @abstractmethod
    def content_options(self) -> str:
        """Options of the subclass that decide what the documents are, as a string."""

    def splittable(self, path: Path) -> bool:
        """Whether a file can be read from its middle: its documents are lines, as they are."""
        return False

    def stream(self) -> Iterator[str]:
        for unit in self.units("train"):
            yield from self.unit_texts(unit, self.new_stats())

    def given_valid(self) -> Callable[[], Iterator[str]] | None:
        if not self.valid_files:
            return None
        if both := set(self._files("valid")) & set(self._files("train")):
            raise UserError(f"{min(both)} is in both data.files and data.valid_files")
        return lambda: self.documents("valid")

    def _files(self, split: str) -> list[Path]:
        """Files of "train" or "valid" that are not empty; looked for once."""
        if split not in self._listed:
            option = "files" if split == "train" else "valid_files"
            found = text_files.find_all_files(getattr(self, option), f"data.{option}")
            text_files.check_some(*found, f"data.{option}")
            self._listed[split] = found
        return self._listed[split][0]

    def units(self, split: str) -> list[Unit]:
        split = split if self.valid_files else "train"
        files = [(path, text_files.size_of(path)) for path in self._files(split)]
        return file_units(split, files, self.splittable)

    def new_stats(self) -> text_files.ReadStats:
        return text_files.ReadStats(self.encoding_errors)

    def unit_texts(self, unit: Unit, stats: text_files.ReadStats) -> Iterator[str]:
        for part in unit.parts:
            yield from self.documents_of(part, stats)

    def contents(self) -> str:
        parts = [file_hash.fingerprint(self._files("train"))]
        if self.given_valid():
            parts.append(file_hash.fingerprint(self._files("valid")))
        return " ".join([*parts, self.encoding_errors, self.content_options()])

    def notes(self, stats: text_files.ReadStats, found: Survey) -> dict:
        return super().notes(stats, found) | {
            "bad_bytes": stats.bad_bytes,
            "documents_cut": stats.cut,
            "records_blank": stats.blank,
            "files_empty": sum(len(empty) for _, empty in self._listed.values()),
        }


@dataclasses.dataclass(kw_only=True)
class Text(FileCorpus):
    """Plain UTF-8 text files. A byte order mark is dropped; CRLF and CR are line ends.

    document_is: "file": all of it; "paragraph": a run of lines without a blank one; "line"
    code: control code: "folder", the first folder of a file below the fixed part of its pattern, or
        "file", its name without suffix
    """

    code: Literal["folder", "file"] | None = None
    document_is: text_files.DocumentIs = "file"

    def content_options(self) -> str:
        if self.code is None:
            return self.document_is
        known = self._files("train") + (self._files("valid") if self.valid_files else [])
        return " ".join([self.document_is, *map(self._code, known)])

    def splittable(self, path: Path) -> bool:
        return self.document_is == "line" and path.suffix not in text_files.COMPRESSED

    def hint(self, found: Survey) -> None:
        """Warn where each line seems to be a document."""
        lines = found.whole.lines
        if self.document_is == "file" and lines.are_paragraphs():
            _log.warning(
                "data.document_is=file: %d lines of %d characters on average, none blank, are "
                "%d documents; if each line is one, write data.document_is=line",
                lines.count,
                lines.characters // lines.count,
                lines.documents,
            )

    def documents_of(self, part: FilePart, stats: text_files.ReadStats) -> Iterator[str]:
        texts = text_files.documents(part.path, self.document_is, stats, part.start, part.stop)
        if self.code is None:
            return texts
        code = self._code(part.path)
        return (control_codes.Coded(text, code) for text in texts)

    def _code(self, path: Path) -> str:
        if self.code == "file":
            return path.stem
        given = [self.files, self.valid_files]
        patterns = [[one] if isinstance(one, str) else list(one or []) for one in given]
        return control_codes.folder_of(Path(str(path)), sum(patterns, []))
