"""Append-only JSON lines: readable while they grow, and after the writer was killed in mid-line.

JSON has no NaN and no infinity, but a loss may be either: they travel as the strings "nan", "inf"
and "-inf" and come back as floats, so that every reader (a browser too) can parse every line.
"""

import contextlib
import errno
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fxformer.files import open_own, open_regular, read_text

_ODD = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(value: Any) -> Any:
    """Turn arrays, scalars of numpy or jax, paths and non-finite floats into plain JSON values."""
    if isinstance(value, dict):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encode(v) for v in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "tolist"):
        return encode(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(float(value))
    return str(value)


def value(text: str | bytes) -> Any:
    """The value of a JSON text. ValueError where it is none, or nested beyond what can be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None


def decode(line: dict[str, Any]) -> dict[str, Any]:
    """Undo `encode` on the top-level numbers of one line."""
    return {k: _ODD.get(v, v) if isinstance(v, str) else v for k, v in line.items()}


class TornLine(ValueError):
    """A line that is no whole JSON value: its writer was killed, or is still writing it."""


def parse(text: str | bytes) -> dict[str, Any]:
    """One line as a dict, decoded. TornLine for what is no JSON, ValueError for another value."""
    try:
        line = value(text)
    except ValueError as error:
        raise TornLine(f"no JSON: {error}") from error
    if not isinstance(line, dict):
        raise ValueError(f"a JSON object is expected, got {str(line)[:60]}")
    return decode(line)


def load(path: str | Path) -> Any:
    """The JSON value that the file at `path` holds. OSError, or ValueError for what is no JSON."""
    return value(read_text(path))


class Writer:
    """Appends one line per call and hands it to the operating system at once.

    A torn tail, left by a writer that was killed, is closed with a newline first, so that the new
    line is whole. `sync=True` also waits for the disk (survives a power cut, costs milliseconds).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._torn = _torn(self.path)
        self._file = open_own(self.path, "ab")

    def write(self, line: dict[str, Any], *, sync: bool = False) -> None:
        """Append `line`, whole or not at all. OSError when the disk refuses."""
        text = json.dumps(encode(line), ensure_ascii=False, allow_nan=False) + "\n"
        data = (b"\n" if self._torn else b"") + text.encode(errors="surrogatepass")
        before = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(data) != len(data):  # what there was room for
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), before)
            raise
        self._torn = False
        if sync:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()


def is_number(value: Any) -> bool:
    """Whether `value` is a number that fits a float; a bool is none, NaN and infinities are."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) < 1 << 1023


def _torn(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    with open_regular(path) as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def read(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield every whole line of `path` in order, nothing if it is absent; skip torn lines."""
    path = Path(path)
    if not path.exists():
        return
    with io.TextIOWrapper(open_regular(path), encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                yield parse(text)
            except ValueError:
                continue


def keep(path: str | Path, wanted: Callable[[dict[str, Any]], bool]) -> int:
    """Rewrite `path` atomically with the lines that are `wanted`; return how many were dropped."""
    path = Path(path)
    lines = list(read(path))
    kept = [line for line in lines if wanted(line)]
    replace(path, "".join(json.dumps(encode(line), ensure_ascii=False) + "\n" for line in kept))
    return len(lines) - len(kept)


def replace(path: str | Path, text: str) -> None:
    """Write `text` to `path` so that a reader, or a crash, sees the old file or the new one."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power cut
    finally:
        os.close(folder)


def sweep(folder: str | Path, *, older: float = 0.0) -> int:
    """Delete what `replace` left in `folder` when it was killed; return how many files. Where
    others write too, only what is `older` seconds old."""
    gone = 0
    for path in Path(folder).glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if not older or time.time() - path.stat().st_mtime > older:
                path.unlink()
                gone += 1
    return gone
