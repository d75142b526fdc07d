"""Files as bytes: decompressed by their suffix (.gz, .bz2, .xz, .zst), in blocks."""

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fxformer.errors import UserError

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_MAGIC = {
    rb"\x1f\x8b": ".gz",
    rb"BZh[1-9]1AY&SY": ".bz2",
    rb"\xfd7zXZ\x00": ".xz",
    rb"\x28\xb5\x2f\xfd": ".zst",
    rb"PK\x03\x04": ".zip",
}


def suffix(path: Path) -> str:
    """The suffix of what a file holds: ".tsv" for both a.tsv and a.tsv.gz."""
    inner = path.with_suffix("") if path.suffix in SUFFIXES else path
    return inner.suffix


def blocks(path: Path, size: int) -> Iterator[bytes]:
    """The contents of a file, decompressed, `size` bytes at a time. UserError for damaged
    compression, for compressed contents under another suffix, and where a library is missing."""
    try:
        with _open(path) as file:
            first = True
            while block := file.read(size):
                if first and path.suffix not in SUFFIXES:
                    _refuse_compressed(path, block)
                first = False
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as problem:
        raise UserError(f"{path} is not a sound {path.suffix} file: {problem}") from None
    except OSError as problem:
        if path.suffix in SUFFIXES and problem.errno is None:  # a decoder's, not the system's
            raise UserError(f"{path} is not a sound {path.suffix} file: {problem}") from None
        raise


def is_empty(path: Path) -> bool:
    """Whether a file holds nothing, decompressed."""
    return next(blocks(path, 1), b"") == b""


def _open(path: Path) -> IO[bytes]:
    """The file, open for reading decompressed bytes."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".bz2":
        return bz2.open(path, "rb")
    if path.suffix == ".xz":
        return lzma.open(path, "rb")
    if path.suffix == ".zst" and path.stat().st_size:  # an empty file is no frame
        return _zstandard(path)
    return path.open("rb")


def _zstandard(path: Path) -> IO[bytes]:
    try:
        import pyarrow as pa
    except ImportError as problem:
        raise UserError(f"{path}: .zst needs pyarrow: pip install pyarrow") from problem
    return pa.input_stream(str(path), compression="zstd")


def _refuse_compressed(path: Path, block: bytes) -> None:
    for magic, ending in _MAGIC.items():
        if re.match(magic, block):
            advice = "unpack it" if ending == ".zip" else f"rename it so that it ends in {ending}"
            raise UserError(f"{path} is no text but compressed ({ending[1:]}): {advice}")
