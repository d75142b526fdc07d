"""Corpora of files, and of plain text files."""

import dataclasses
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from fxformer.data import control_codes, text_files
from fxformer.data.corpus_text import SplitCorpus
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
        self._stats_by_option: dict[str, text_files.ReadStats] = {}

    @abstractmethod
    def documents_of(self, path: Path, stats: text_files.ReadStats) -> Iterator[str]:
        """Documents of one file; counts in `stats` what was repaired or skipped."""

    @abstractmethod
    def content_options(self) -> str:
        """Options of the subclass that decide what the documents are, as a string."""

    def stream(self) -> Iterator[str]:
        return self._read(self.files, "data.files")

    def given_valid(self) -> Callable[[], Iterator[str]] | None:
        if not self.valid_files:
            return None
        paths = text_files.find_files(self.valid_files, "data.valid_files")
        if both := set(paths) & set(text_files.find_files(self.files, "data.files")):
            raise UserError(f"{min(both)} is in both data.files and data.valid_files")
        return lambda: self._read(self.valid_files, "data.valid_files")

    def _read(self, patterns, option: str) -> Iterator[str]:
        """Documents of the files of an option; keeps the counts by option, for `notes`."""
        files, empty = text_files.find_all_files(patterns, option)
        stats = text_files.ReadStats(self.encoding_errors, empty=len(empty))
        for path in files:
            yield from self.documents_of(path, stats)
        self._stats_by_option[option] = stats

    def contents(self) -> str:
        parts = [text_files.digest(text_files.find_files(self.files, "data.files"))]
        if self.given_valid():
            parts.append(
                text_files.digest(text_files.find_files(self.valid_files, "data.valid_files"))
            )
        return " ".join([*parts, self.encoding_errors, self.content_options()])

    def notes(self) -> dict:
        all_stats = self._stats_by_option.values()
        return super().notes() | {
            "bad_bytes": sum(stats.bad_bytes for stats in all_stats),
            "documents_cut": sum(stats.cut for stats in all_stats),
            "records_blank": sum(stats.blank for stats in all_stats),
            "files_empty": sum(stats.empty for stats in all_stats),
        }


@dataclasses.dataclass
class LineCounts:
    """Counts of documents and their lines, to recognise files with one paragraph per line."""

    documents: int = 0
    count: int = 0
    characters: int = 0
    blank: int = 0

    def add(self, text: str) -> None:
        """Count one document."""
        self.documents += 1
        self.count += text.count("\n") + (not text.endswith("\n"))
        self.characters += len(text)
        self.blank += text.count("\n\n")

    def are_paragraphs(self) -> bool:
        """Whether each line is likely a paragraph: many per document, long, none of them blank.

        Lines of wrapped prose and of code are shorter than 120 characters on average.
        """
        many = self.count >= 20 * max(self.documents, 1)
        return many and not self.blank and self.characters >= 120 * self.count


@dataclasses.dataclass(kw_only=True)
class Text(FileCorpus):
    """Plain UTF-8 text files. A byte order mark is dropped; CRLF and CR are line ends.

    document_is: "file": all of it; "paragraph": a run of lines without a blank one; "line"
    code: control code: "folder", the first folder of a file below the fixed part of its pattern, or
        "file", its name without suffix
    """

    code: Literal["folder", "file"] | None = None
    document_is: text_files.DocumentIs = "file"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._hinted = False

    def content_options(self) -> str:
        if self.code is None:
            return self.document_is
        known = text_files.find_files(self.files, "data.files")
        if self.valid_files:
            known += text_files.find_files(self.valid_files, "data.valid_files")
        return " ".join([self.document_is, *map(self._code, known)])

    def stream(self) -> Iterator[str]:
        """All documents; the first pass warns where each line seems to be a document."""
        lines = LineCounts()
        for text in super().stream():
            if self.document_is == "file" and not self._hinted:
                lines.add(text)
            yield text
        if not self._hinted and lines.are_paragraphs():
            _log.warning(
                "data.document_is=file: %d lines of %d characters on average, none blank, are "
                "%d documents; if each line is one, write data.document_is=line",
                lines.count,
                lines.characters // lines.count,
                lines.documents,
            )
        self._hinted = True

    def documents_of(self, path: Path, stats: text_files.ReadStats) -> Iterator[str]:
        texts = text_files.documents(path, self.document_is, stats)
        if self.code is None:
            return texts
        code = self._code(path)
        return (control_codes.Coded(text, code) for text in texts)

    def _code(self, path: Path) -> str:
        if self.code == "file":
            return path.stem
        given = [self.files, self.valid_files]
        patterns = [[one] if isinstance(one, str) else list(one or []) for one in given]
        return control_codes.folder_of(path, sum(patterns, []))
