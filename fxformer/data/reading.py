"""Text files in bounded memory: found by pattern, decoded in blocks, cut into documents."""

import dataclasses
import glob
import hashlib
import io
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from fxformer.data import compressed
from fxformer.errors import UserError
from fxformer.files import no_file

Errors = Literal["strict", "replace", "skip"]
DocumentIs = Literal["file", "paragraph", "line"]

BLOCK = 1 << 20  # bytes read at a time
LONGEST = 1 << 22  # characters; a longer document goes on as another one


@dataclasses.dataclass
class Reading:
    """How to read, and what had to be done on the way.

    encoding_errors: what to do with bytes that are not UTF-8: refuse them with file and offset,
        write U+FFFD in their place, or leave them out
    bad_bytes: how many such places there were
    cut: how many times a document of more than `LONGEST` characters was cut in two
    blank: how many records had no text, or only white space
    empty: how many files had nothing in them
    """

    encoding_errors: Errors = "strict"
    bad_bytes: int = 0
    cut: int = 0
    blank: int = 0
    empty: int = 0


def find(patterns: str | Sequence[str] | None, knob: str) -> list[Path]:
    """The files of `find_all` that are not empty. UserError if all are."""
    files, empty = find_all(patterns, knob)
    if not files:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise UserError(f"{knob}: {empty[0]}{more} is empty")
    return files


def find_all(patterns: str | Sequence[str] | None, knob: str) -> tuple[list[Path], list[Path]]:
    """(files with contents, empty files) that match one or more glob patterns, sorted. UserError,
    naming the knob and what was looked for, if a pattern matches nothing, or a folder, or a file
    that cannot be read."""
    wanted = [patterns] if isinstance(patterns, str) else list(patterns or [])
    if not wanted:
        raise UserError(f"{knob} is not given: write e.g. {knob}='corpus/*.txt'")
    found: set[Path] = set()
    for pattern in wanted:
        full = os.path.expanduser(pattern)
        # A name may hold [ or *; one that exists is meant literally.
        matches = [full] if os.path.exists(full) else glob.glob(full, recursive=True)
        if not matches:
            raise UserError(f"{knob}: no file matches {pattern!r} (looked in {Path.cwd()})")
        found |= {Path(match) for match in matches}
    files, empty = [], []
    for path in sorted(found):
        if path.is_dir():
            raise UserError(f"{knob}: {path} is a folder; write {knob}='{path}/*.txt'")
        try:
            if wrong := no_file(path):
                raise UserError(f"{knob}: {path} {wrong}")
            (empty if compressed.is_empty(path) else files).append(path)
        except OSError as problem:
            raise UserError(f"{knob}: {path} cannot be read ({problem.strerror})") from problem
    return files, empty


def digest(paths: Sequence[Path]) -> str:
    """Hex digest of the contents of files, in order; their names do not matter."""
    total = hashlib.blake2b(digest_size=16)
    for path in paths:
        total.update(f"{path.stat().st_size}:".encode())
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                total.update(block)
    return total.hexdigest()


def blocks(path: Path, reading: Reading) -> Iterator[str]:
    """The text of a file in parts, without byte order mark, every line end as a line feed; of a
    compressed one the text it holds."""
    lines = io.IncrementalNewlineDecoder(None, translate=True)
    pending, offset, first = b"", 0, True
    for block in itertools.chain(compressed.blocks(path, BLOCK), [b""]):
        data = pending + block
        text, used = _decode(data, not block, path, offset, reading)
        pending, offset = data[used:], offset + used
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        if part := lines.decode(text, final=not block):
            yield part


def _decode(data: bytes, final: bool, path: Path, offset: int, reading: Reading):
    """Text, and how many bytes it took; the rest may be the beginning of a character."""
    parts, at = [], 0
    while True:
        try:
            return "".join(parts) + data[at:].decode(), len(data)
        except UnicodeDecodeError as error:
            parts.append(data[at : at + error.start].decode())
            if not final and error.reason == "unexpected end of data":
                return "".join(parts), at + error.start
            if reading.encoding_errors == "strict":
                place = offset + at + error.start
                raise UserError(
                    f"{path} is not UTF-8: byte 0x{data[at + error.start]:02x} at offset {place} "
                    f"({error.reason}); convert the file, or set data.encoding_errors=replace|skip"
                ) from None
            reading.bad_bytes += 1
            parts.append("\ufffd" if reading.encoding_errors == "replace" else "")
            at += error.end


def lines(parts: Iterator[str], reading: Reading) -> Iterator[str]:
    """Lines without their line feed; one of more than `LONGEST` characters comes in several."""
    tail = ""
    for part in parts:
        *whole, tail = (tail + part).split("\n")
        yield from whole
        if len(tail) >= LONGEST:
            reading.cut += 1
            yield tail
            tail = ""
    if tail:
        yield tail


def documents(path: Path, kind: DocumentIs, reading: Reading) -> Iterator[str]:
    """The documents of a file: all of it, runs of lines without a blank one, or single lines.
    Blank documents are left out."""
    parts = blocks(path, reading)
    if kind == "line":
        yield from (line for line in lines(parts, reading) if line.strip())
    elif kind == "paragraph":
        cut_lines = lines(parts, Reading())  # what follows one is counted as a cut below
        marked = (line + "\n" if line.strip() else "" for line in cut_lines)
        yield from (text.rstrip("\n") for text in _gather(marked, reading))
    else:
        yield from _gather((part for part in parts if part), reading)


def _gather(parts: Iterator[str], reading: Reading) -> Iterator[str]:
    """Joins parts until an empty one, the end, or `LONGEST`."""
    held: list[str] = []
    size = 0
    for part in parts:
        if size + len(part) > LONGEST and held:
            reading.cut += 1
        if (not part or size + len(part) > LONGEST) and held:
            yield "".join(held)
            held, size = [], 0
        if part:
            held.append(part)
            size += len(part)
    if held and "".join(held).strip():
        yield "".join(held)
