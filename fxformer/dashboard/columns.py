"""One run's metrics as columns that grow with the file: read once, then only what was appended.

What was read is kept beside the runs (<runs>/.dashboard/), so the next server starts where this one
ended. It is a cache: delete it at any time.
"""

import contextlib
import io
import json
import os
import threading
import zipfile
from pathlib import Path

import numpy as np

from fxformer.dashboard.scan import Lines
from fxformer.files import open_regular

_TAIL = 256  # bytes by whose change a rewritten file is told from one that grew
_WORTH = 200_000  # bytes of log below which reading it again is as quick as a cache
_GROWN = 1.2  # a cache is written anew when the log has grown so much


class Columns:
    """Columns of one metrics.jsonl.

    path: the log; cache: the file to keep them in, None for none
    Only columns that were asked for are made. A log that was cut back (a resume) is read anew.
    """

    def __init__(self, path: Path, cache: Path | None = None):
        self._path, self._cache, self._lock = path, cache, threading.RLock()
        self._forget()
        self._saved = (0, 0)  # bytes and columns in the cache
        if cache is not None:
            self._load(cache)

    def split(self, split: str, *names: str) -> dict[str, np.ndarray]:
        """{name: [N]} of the lines of `split`; NaN where a line lacks it. Up to date."""
        with self._lock:
            self._read(names)
            mine = self._splits == (self._codes.index(split) if split in self._codes else -1)
            return {name: self._columns[name][mine] for name in names}

    def _forget(self) -> None:
        self._offset, self._tail = 0, b""
        self._codes: list[str] = []
        self._splits = np.zeros(0, np.int16)
        self._columns: dict[str, np.ndarray] = {}

    def _read(self, wanted: tuple[str, ...]) -> None:
        """Take in what was appended, and the columns that are not there yet."""
        try:
            file = open_regular(self._path)
        except OSError:  # none, or a folder, or not ours to read
            self._forget()
            self._columns = {name: np.zeros(0) for name in wanted}
            return
        with file:
            if not self._grows(file):
                self._forget()
            missing = [name for name in wanted if name not in self._columns]
            if missing and self._offset:
                file.seek(0)
                before = Lines(file.read(self._offset))
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
        """Whether the file still holds what was read of it."""
        if os.fstat(file.fileno()).st_size < self._offset:
            return False
        file.seek(self._offset - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _append(self, data: bytes) -> None:
        lines = Lines(data)
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
        """Write the cache if that is worth it; a folder that cannot be written to has none."""
        size, count = self._saved
        grown = self._offset > _GROWN * size or len(self._columns) > count
        if self._cache is None or self._offset < _WORTH or not grown:
            return
        facts = {
            "offset": self._offset,
            "tail": self._tail.hex(),
            "codes": self._codes,
            "columns": list(self._columns),
        }
        arrays = {f"column{n}": values for n, values in enumerate(self._columns.values())}
        held = io.BytesIO()
        np.savez(held, facts=json.dumps(facts), splits=self._splits, **arrays)
        temporary = self._cache.with_name(f".{self._cache.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(held.getbuffer())
            os.replace(temporary, self._cache)
            self._saved = (self._offset, len(self._columns))

    def _load(self, cache: Path) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            with np.load(cache, allow_pickle=False) as held:
                facts = json.loads(str(held["facts"]))
                columns = {name: held[f"column{n}"] for n, name in enumerate(facts["columns"])}
                splits = held["splits"]
            self._offset, self._tail = facts["offset"], bytes.fromhex(facts["tail"])
            self._codes = facts["codes"]
            self._splits, self._columns = splits, columns
            self._saved = (self._offset, len(columns))


def _whole(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]
