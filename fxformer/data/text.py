"""Plain text files."""

import dataclasses
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from fxformer.data import control_codes, text_files
from fxformer.data.corpus_text import HeldOut
from fxformer.errors import UserError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True)
class FileCorpus(HeldOut):
    """Documents that lie in files.

    files: glob pattern, or several; ** goes into folders; .gz, .bz2, .xz and .zst are decompressed
    valid_files: the same for the held-out split; None holds out a share of `files`
    encoding_errors: bytes that are not UTF-8 are refused, replaced (U+FFFD) or skipped, and counted
    """

    files: str | list[str] | None
    valid_files: str | list[str] | None = None
    encoding_errors: text_files.Errors = "strict"

    def __post_init__(self) -> None:
        self._mended: dict[str, text_files.ReadStats] = {}

    @abstractmethod
    def documents_of(self, path: Path, how: text_files.ReadStats) -> Iterator[str]:
        """The documents of one file."""

    @abstractmethod
    def form(self) -> str:
        """The knobs of the subclass that decide what the documents are."""

    def stream(self) -> Iterator[str]:
        return self._read(self.files, "data.files")

    def given_valid(self) -> Callable[[], Iterator[str]] | None:
        if not self.valid_files:
            return None
        paths = text_files.find_files(self.valid_files, "data.valid_files")
        if both := set(paths) & set(text_files.find_files(self.files, "data.files")):
            raise UserError(f"{min(both)} is in both data.files and data.valid_files")
        return lambda: self._read(self.valid_files, "data.valid_files")

    def _read(self, patterns, knob: str) -> Iterator[str]:
        """One pass over files; what had to be mended is kept by knob for `notes`."""
        files, empty = text_files.find_all_files(patterns, knob)
        done = text_files.ReadStats(self.encoding_errors, empty=len(empty))
        for path in files:
            yield from self.documents_of(path, done)
        self._mended[knob] = done

    def contents(self) -> str:
        parts = [text_files.digest(text_files.find_files(self.files, "data.files"))]
        if self.given_valid():
            parts.append(
                text_files.digest(text_files.find_files(self.valid_files, "data.valid_files"))
            )
        return " ".join([*parts, self.encoding_errors, self.form()])

    def notes(self) -> dict:
        mended = self._mended.values()
        return super().notes() | {
            "bad_bytes": sum(done.bad_bytes for done in mended),
            "documents_cut": sum(done.cut for done in mended),
            "records_blank": sum(done.blank for done in mended),
            "files_empty": sum(done.empty for done in mended),
        }


@dataclasses.dataclass
class Lines:
    """Counts of documents and of the lines in them."""

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
        """Whether each line is likely a paragraph: many to a document, long, none of them blank.
        Prose is wrapped at 80 characters or fewer, and code is shorter."""
        many = self.count >= 20 * max(self.documents, 1)
        return many and not self.blank and self.characters >= 120 * self.count


@dataclasses.dataclass(kw_only=True)
class Text(FileCorpus):
    """Plain UTF-8 text; one byte order mark, CRLF and CR are understood.

    document_is: the whole file, a run of lines without a blank one between, or a line
    code: the first folder of a file below that of its pattern, or its name without ending
    """

    code: Literal["folder", "file"] | None = None
    document_is: text_files.DocumentIs = "file"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._hinted = False

    def form(self) -> str:
        if self.code is None:
            return self.document_is
        known = text_files.find_files(self.files, "data.files")
        if self.valid_files:
            known += text_files.find_files(self.valid_files, "data.valid_files")
        return " ".join([self.document_is, *map(self._code, known)])

    def stream(self) -> Iterator[str]:
        """All documents; the first time, a hint where they look like a paragraph a line."""
        lines = Lines()
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

    def documents_of(self, path: Path, how: text_files.ReadStats) -> Iterator[str]:
        texts = text_files.documents(path, self.document_is, how)
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
