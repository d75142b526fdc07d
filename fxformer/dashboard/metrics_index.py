"""Index of a run's metrics.jsonl: columns of numbers by split, read incrementally and cached.

Columns are extracted by searching the bytes, several times faster than parsing each line. This
relies on how `jsonl.Writer` writes: one flat object a line, no key twice. A truncated line (one
that does not begin with { and end with }) counts as a line without values.

The columns are cached beside the runs (<runs>/.dashboard/), so that the next server continues from
there. The cache may be deleted at any time.
"""

import contextlib
import io
import json
import mmap
import os
import re
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fxformer import jsonl
from fxformer.files import open_regular

_TAIL = 256  # bytes compared to tell a rewritten file from one that has grown
_MIN_CACHED = 200_000  # bytes; a smaller log is read again as quickly as its cache
_GROWTH = 1.2  # the cache is rewritten when the log has grown by this factor
_ENDS = 8_192  # bytes read from either end of a log for the names of its metrics
_SPLIT = re.compile(rb'"split": ?"([^"\\\n]*)"')
_VALID = b'"split": "valid"'


class Columns:
    """Columns of one metrics.jsonl, updated with what was appended since the last call.

    path: the log
    cache: file to cache the columns in; None: no cache
    Only requested columns are extracted. A truncated log (of a resumed run) is read again in full.
    """

    def __init__(self, path: Path, cache: Path | None = None):
        self._path, self._cache, self._lock = path, cache, threading.RLock()
        self._forget()
        self._saved = (0, 0)  # bytes and columns in the cache
        if cache is not None:
            self._load(cache)

    def split(self, split: str, *names: str) -> dict[str, np.ndarray]:
        """{name: [N] float64} of the lines of `split`; NaN where a line has no such metric."""
        with self._lock:
            self._read(names)
            mine = self._splits == (self._codes.index(split) if split in self._codes else -1)
            return {name: self._columns[name][mine] for name in names}

    def _forget(self) -> None:
        self._offset, self._tail = 0, b""
        self._codes: list[str] = []
        self._splits = np.zeros(0, np.int16)
        self._columns: dict[str, np.ndarray] = {}

    def _read(self, requested: tuple[str, ...]) -> None:
        """Read appended lines, and the requested columns that were not extracted before."""
        try:
            file = open_regular(self._path)
        except OSError:  # missing, a folder, or no permission
            self._forget()
            self._columns = {name: np.zeros(0) for name in requested}
            return
        with file:
            if not self._grows(file):
                self._forget()
            missing = [name for name in requested if name not in self._columns]
            if missing and self._offset:
                file.seek(0)
                before = MetricsLines(file.read(self._offset))
                for name in missing:
                    self._columns[name] = before.column(name)
            file.seek(self._offset)
            data = file.read()
        data = _whole(data)
        for name in missing if not self._offset else ():
            self._columns[name] = np.zeros(0)
        if data:
            self._append(data)
        self._keep()

    def _grows(self, file) -> bool:
        """Whether the file still contains what was read, perhaps with more appended."""
        if os.fstat(file.fileno()).st_size < self._offset:
            return False
        file.seek(self._offset - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _append(self, data: bytes) -> None:
        lines = MetricsLines(data)
        kinds, owners = np.unique(lines.splits(), return_inverse=True)
        names = [kind.decode(errors="replace") for kind in kinds]
        self._codes += [name for name in names if name not in self._codes]
        fresh = np.array([self._codes.index(name) for name in names], np.int16)[owners]
        self._splits = np.concatenate([self._splits, fresh])
        for name, before in self._columns.items():
            self._columns[name] = np.concatenate([before, lines.column(name)])
        self._tail = (self._tail + data[-_TAIL:])[-_TAIL:]
        self._offset += len(data)

    def _keep(self) -> None:
        """Write the cache if the log is large and has grown; ignored in a read-only folder."""
        size, count = self._saved
        grown = self._offset > _GROWTH * size or len(self._columns) > count
        if self._cache is None or self._offset < _MIN_CACHED or not grown:
            return
        facts = {
            "offset": self._offset,
            "tail": self._tail.hex(),
            "codes": self._codes,
            "columns": list(self._columns),
        }
        arrays: dict[str, Any] = {
            f"column{n}": values for n, values in enumerate(self._columns.values())
        }
        buffer = io.BytesIO()
        np.savez(buffer, facts=json.dumps(facts), splits=self._splits, **arrays)
        temporary = self._cache.with_name(f".{self._cache.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(buffer.getbuffer())
            os.replace(temporary, self._cache)
            self._saved = (self._offset, len(self._columns))

    def _load(self, cache: Path) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            with np.load(cache, allow_pickle=False) as arrays:
                facts = json.loads(str(arrays["facts"]))
                columns = {name: arrays[f"column{n}"] for n, name in enumerate(facts["columns"])}
                splits = arrays["splits"]
            self._offset, self._tail = facts["offset"], bytes.fromhex(facts["tail"])
            self._codes = facts["codes"]
            self._splits, self._columns = splits, columns
            self._saved = (self._offset, len(columns))


def _whole(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


class MetricsLines:
    """Lines of `data`, bytes that end in a newline or are empty.

    ends: byte offset of the end of each line, [N]
    whole: whether each line is complete, [N]
    """

    def __init__(self, data: bytes):
        self._data, signs = data, np.frombuffer(data, np.uint8)
        self.ends = np.flatnonzero(signs == ord("\n"))
        starts = np.concatenate(([0], self.ends[:-1] + 1)) if len(self.ends) else self.ends
        last = np.maximum(self.ends - 1, starts)
        self.whole = (signs[starts] == ord("{")) & (signs[last] == ord("}"))
        self._sound = bool(self.whole.all())

    def splits(self) -> np.ndarray:
        """The split of each line, [N] of bytes; b"" where it has none or is truncated."""
        return self._each(_SPLIT, np.array, b"")

    def column(self, name: str) -> np.ndarray:
        """The metric `name` of each line, [N] float64; NaN where a line has none."""
        key = re.escape(json.dumps(name, ensure_ascii=False).encode())
        return self._each(re.compile(key + rb": ?([^,}\n]+)"), _numbers, np.nan)

    def _each(self, pattern: re.Pattern[bytes], convert, lacking) -> np.ndarray:
        """The group of the pattern in each line, [N]. Each line matches at most once."""
        found = pattern.findall(self._data)
        if self._sound and len(found) == len(self.ends):
            return convert(found)
        matches = pattern.finditer(self._data)
        starts = np.fromiter((match.start() for match in matches), np.int64)
        some = convert(found) if found else np.array([lacking])
        values = np.full(len(self.ends), lacking, some.dtype)
        values[np.searchsorted(self.ends, starts)] = some[: len(starts)]
        values[~self.whole] = lacking
        return values


def _numbers(texts: list[bytes]) -> np.ndarray:
    try:
        return np.array(texts).astype(np.float64)
    except ValueError:  # "nan" and "inf" are quoted; null, text and lists become NaN
        return np.array([_number(text) for text in texts])


def _number(text: bytes) -> float:
    try:
        return float(text.strip().strip(b'"'))
    except ValueError:
        return np.nan


def logged_names(path: Path) -> dict[str, list[str]]:
    """{split: names of its metrics, in the order of the log}, from both ends of the log and its
    first evaluation; {} without a log."""
    found: dict[str, dict[str, None]] = {}
    for text in _ends_of(path).splitlines():
        try:
            line = jsonl.parse(text)
        except ValueError:  # truncated, or no object
            continue
        split = line.get("split")
        if isinstance(split, str):
            numbers = (name for name, value in line.items() if jsonl.is_number(value))
            found.setdefault(split, {}).update(dict.fromkeys(numbers))
    return {split: list(some) for split, some in found.items()}


def _ends_of(path: Path) -> bytes:
    """The beginning and the end of a log, and its first "valid" line if they contain none."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size <= 2 * _ENDS:
                return file.read()
            head = file.read(_ENDS)
            file.seek(size - _ENDS)
            ends = head + b"\n" + file.read()
            if _VALID in ends:
                return ends
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
                at = whole.find(_VALID)
                if at < 0:
                    return ends
                start, end = whole.rfind(b"\n", 0, at) + 1, whole.find(b"\n", at)
                return ends + b"\n" + whole[start : end if end >= 0 else size]
    except OSError:
        return b""
