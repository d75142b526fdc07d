"""Text files in bounded memory: found by pattern, decoded in blocks, cut into documents."""

import bz2
import dataclasses
import glob
import gzip
import io
import itertools
import lzma
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, cast

from fxformer.data.remote_files import RemoteFile, find, is_url
from fxformer.errors import UserError
from fxformer.files import no_file

Errors = Literal["strict", "replace", "skip"]
DocumentIs = Literal["file", "paragraph", "line"]

BLOCK = 1 << 20  # bytes read at a time
LONGEST = 1 << 22  # characters; a longer document goes on as another one
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_MAGIC = {
    rb"\x1f\x8b": ".gz",
    rb"BZh[1-9]1AY&SY": ".bz2",
    rb"\xfd7zXZ\x00": ".xz",
    rb"\x28\xb5\x2f\xfd": ".zst",
    rb"PK\x03\x04": ".zip",
}


@dataclasses.dataclass
class ReadStats:
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

    def add(self, other: "ReadStats") -> None:
        """Count what another reader has counted."""
        self.bad_bytes += other.bad_bytes
        self.cut += other.cut
        self.blank += other.blank
        self.empty += other.empty


def find_files(patterns: str | Sequence[str] | None, knob: str) -> list[Path]:
    """The files of `find_all_files` that are not empty. UserError if all are."""
    files, empty = find_all_files(patterns, knob)
    check_some(files, empty, knob)
    return files


def check_some(files: list[Path], empty: list[Path], knob: str) -> None:
    """UserError where all files are empty."""
    if not files:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise UserError(f"{knob}: {empty[0]}{more} is empty")


def find_all_files(
    patterns: str | Sequence[str] | None, knob: str
) -> tuple[list[Path], list[Path]]:
    """(files with contents, empty files) that match one or more glob patterns, sorted; those of
    URLs (remote_files.py) last. UserError,
    naming the knob and what was looked for, if a pattern matches nothing, or a folder, or a file
    that cannot be read."""
    wanted = [patterns] if isinstance(patterns, str) else list(patterns or [])
    if not wanted:
        raise UserError(f"{knob} is not given: write e.g. {knob}='corpus/*.txt'")
    found: set[Path] = set()
    remote: set[RemoteFile] = set()
    for pattern in wanted:
        if is_url(pattern):
            remote.update(find(pattern, knob))
            continue
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
            (empty if is_empty(path) else files).append(path)
        except OSError as problem:
            raise UserError(f"{knob}: {path} cannot be read ({problem.strerror})") from problem
    for file in sorted(remote):
        (files if file.size else empty).append(cast(Path, file))
    return files, empty


def read_text(
    path: Path, stats: ReadStats, start: int = 0, stop: int | None = None
) -> Iterator[str]:
    """The text of a file in parts, without byte order mark, every line end as a line feed; of a
    compressed one the text it holds.

    start, stop: only the lines that begin in these bytes
    """
    offset, end = _line_bounds(path, start, stop)
    blocks = read_bytes(path, BLOCK) if end is None else _read_between(path, offset, end)
    lines = io.IncrementalNewlineDecoder(None, translate=True)
    pending, first = b"", not start
    for block in itertools.chain(blocks, [b""]):
        data = pending + block
        text, used = _decode(data, not block, path, offset, stats)
        pending, offset = data[used:], offset + used
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        if part := lines.decode(text, final=not block):
            yield part


def _line_bounds(path: Path, start: int, stop: int | None) -> tuple[int, int | None]:
    """(first, end) of the bytes of the lines that begin in start … stop; end None: the whole
    file."""
    if not start and stop is None:
        return 0, None
    with path.open("rb") as file:
        end = size_of(path) if stop is None else _line_start(file, stop)
        return _line_start(file, start), end


def _read_between(path: Path, at: int, end: int) -> Iterator[bytes]:
    """These bytes of a file, a block at a time."""
    with path.open("rb") as file:
        file.seek(at)
        while at < end and (block := file.read(min(BLOCK, end - at))):
            at += len(block)
            yield block


def _line_start(file: IO[bytes], at: int) -> int:
    """Where the first line that begins at a byte or after it begins; the end where none does."""
    if not at:
        return 0
    at -= 1
    file.seek(at)
    while block := file.read(BLOCK):
        if (found := block.find(b"\n")) >= 0:
            return at + found + 1
        at += len(block)
    return at


def _decode(data: bytes, final: bool, path: Path, offset: int, stats: ReadStats):
    """Text, and how many bytes it took; the rest may be the beginning of a character."""
    parts, at = [], 0
    while True:
        try:
            return "".join(parts) + data[at:].decode(), len(data)
        except UnicodeDecodeError as error:
            parts.append(data[at : at + error.start].decode())
            if not final and error.reason == "unexpected end of data":
                return "".join(parts), at + error.start
            if stats.encoding_errors == "strict":
                place = offset + at + error.start
                raise UserError(
                    f"{path} is not UTF-8: byte 0x{data[at + error.start]:02x} at offset {place} "
                    f"({error.reason}); convert the file, or set data.encoding_errors=replace|skip"
                ) from None
            stats.bad_bytes += 1
            parts.append("\ufffd" if stats.encoding_errors == "replace" else "")
            at += error.end


def lines(parts: Iterator[str], stats: ReadStats) -> Iterator[str]:
    """Lines without their line feed; one of more than `LONGEST` characters comes in several."""
    tail = ""
    for part in parts:
        *whole, tail = (tail + part).split("\n")
        yield from whole
        if len(tail) >= LONGEST:
            stats.cut += 1
            yield tail
            tail = ""
    if tail:
        yield tail


def documents(
    path: Path, kind: DocumentIs, stats: ReadStats, start: int = 0, stop: int | None = None
) -> Iterator[str]:
    """The documents of a file: all of it, runs of lines without a blank one, or single lines.
    Blank documents are left out. start, stop: of the lines that begin in these bytes."""
    parts = read_text(path, stats, start, stop)
    if kind == "line":
        yield from (line for line in lines(parts, stats) if line.strip())
    elif kind == "paragraph":
        cut_lines = lines(parts, ReadStats())  # what follows one is counted as a cut below
        marked = (line + "\n" if line.strip() else "" for line in cut_lines)
        yield from (text.rstrip("\n") for text in _gather(marked, stats))
    else:
        yield from _gather((part for part in parts if part), stats)


def _gather(parts: Iterator[str], stats: ReadStats) -> Iterator[str]:
    """Joins parts until an empty one, the end, or `LONGEST`."""
    held: list[str] = []
    size = 0
    for part in parts:
        if size + len(part) > LONGEST and held:
            stats.cut += 1
        if (not part or size + len(part) > LONGEST) and held:
            yield "".join(held)
            held, size = [], 0
        if part:
            held.append(part)
            size += len(part)
    if held and "".join(held).strip():
        yield "".join(held)


def inner_suffix(path: Path) -> str:
    """The suffix of what a file holds: ".tsv" for both a.tsv and a.tsv.gz."""
    inner = path.with_suffix("") if path.suffix in COMPRESSED else path
    return inner.suffix


def read_bytes(path: Path, size: int) -> Iterator[bytes]:
    """The contents of a file, decompressed, `size` bytes at a time. UserError for damaged
    compression, for compressed contents under another suffix, and where a library is missing."""
    try:
        with _open(path) as file:
            first = True
            while block := file.read(size):
                if first and path.suffix not in COMPRESSED:
                    _refuse_compressed(path, block)
                first = False
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as problem:
        raise UserError(f"{path} is not a sound {path.suffix} file: {problem}") from None
    except OSError as problem:
        if path.suffix in COMPRESSED and problem.errno is None:  # a decoder's, not the system's
            raise UserError(f"{path} is not a sound {path.suffix} file: {problem}") from None
        raise


def is_empty(path: Path) -> bool:
    """Whether a file holds nothing, decompressed."""
    return next(read_bytes(path, 1), b"") == b""


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The file, open for reading decompressed bytes."""
    source = path if isinstance(path, Path) else path.open("rb")
    if path.suffix == ".gz":
        return gzip.open(source, "rb")
    if path.suffix == ".bz2":
        return bz2.open(source, "rb")
    if path.suffix == ".xz":
        return lzma.open(source, "rb")
    if path.suffix == ".zst" and size_of(path):  # an empty file is no frame
        return _zstandard(path)
    return path.open("rb")


def _zstandard(path: Path) -> IO[bytes]:
    try:
        import pyarrow as pa
    except ImportError as problem:
        raise UserError(f"{path}: .zst needs pyarrow: pip install pyarrow") from problem
    source = str(path) if isinstance(path, Path) else path.open("rb")
    return pa.input_stream(source, compression="zstd")


def size_of(path: Path) -> int:
    """Bytes of a file, as it lies on the disk or in its store."""
    return path.size if isinstance(path, RemoteFile) else path.stat().st_size


def _refuse_compressed(path: Path, block: bytes) -> None:
    for magic, ending in _MAGIC.items():
        if re.match(magic, block):
            advice = "unpack it" if ending == ".zip" else f"rename it so that it ends in {ending}"
            raise UserError(f"{path} is no text but compressed ({ending[1:]}): {advice}")
