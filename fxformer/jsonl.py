"""Append-only JSON lines: readable while they grow, and after the writer was killed in mid-line.

JSON has no NaN and no infinity, but a loss may be either: they travel as the strings "nan", "inf"
and "-inf" and come back as floats, so that every reader (a browser too) can parse every line.
"""

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


def parse(text: str | bytes) -> Any:
    """The value of a JSON text. ValueError where it is none, or nested beyond what can be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None


def decode(line: dict[str, Any]) -> dict[str, Any]:
    """Undo `encode` on the top-level numbers of one line."""
    return {k: _ODD.get(v, v) if isinstance(v, str) else v for k, v in line.items()}


class Writer:
    """Appends one line per call and hands it to the operating system at once.

    A torn tail, left by a writer that was killed, is closed with a newline first, so that the new
    line is whole. `sync=True` also waits for the disk (survives a power cut, costs milliseconds).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = _torn(self.path)
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 - lives as long as we do
        if torn:
            self._file.write("\n")

    def write(self, line: dict[str, Any], *, sync: bool = False) -> None:
        """Append `line`. OSError when the disk refuses."""
        text = json.dumps(encode(line), ensure_ascii=False, allow_nan=False)
        self._file.write(text + "\n")
        self._file.flush()
        if sync:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()


def _torn(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def read(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield every whole line of `path` in order, nothing if it is absent; skip torn lines."""
    path = Path(path)
    if not path.exists():
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = parse(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                yield decode(line)


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
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power cut
    finally:
        os.close(folder)
