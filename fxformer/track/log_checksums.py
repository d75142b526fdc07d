"""Checksums of a run's logs, stored with each checkpoint, to detect damage at resume.

The checksum of a log is its length and the CRC-32 of its bytes. Logs only grow (at a
resume metrics.jsonl is truncated to its state at the checkpoint), so appended lines keep a
checksum valid.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path

from fxformer.files import open_regular

LOGS = ("metrics.jsonl", "metrics_all.jsonl", "events.jsonl", "energy.jsonl")
_CHUNK = 1 << 20


class LogChecksums:
    """Checksums of the logs in `folder`; each byte is read only once over all calls."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._known: dict[str, tuple[int, int]] = {}

    def take(self) -> dict[str, list[int]]:
        """{file: [bytes, CRC-32]} as of now; a file that cannot be read is left out."""
        for name in LOGS:
            try:
                self._known[name] = _crc(self.folder / name, *self._known.get(name, (0, 0)))
            except OSError:
                self._known.pop(name, None)
        return {name: list(mark) for name, mark in self._known.items()}


def damage(folder: Path, checksums: Mapping[str, list[int]]) -> list[str]:
    """Damage of the logs since `checksums` were taken, one message for each log."""
    said = []
    for name, (size, crc) in checksums.items():
        path = folder / name
        try:
            length, found = _crc(path, most=size)
        except FileNotFoundError:
            said.append(f"{name} was deleted: it had {size} bytes")
            continue
        except OSError as error:
            said.append(f"{name} cannot be read ({error.strerror})")
            continue
        if length < size:
            said.append(f"{name} has lost lines: it had {size} bytes and has {length}")
        elif found != crc:
            said.append(f"{name} was changed within its first {size} bytes")
    return said


def _crc(path: Path, start: int = 0, crc: int = 0, most: int | None = None) -> tuple[int, int]:
    """(bytes read, at most `most`; their CRC-32), given the CRC-32 of the first `start` bytes."""
    at = start
    with open_regular(path) as file:
        file.seek(start)
        while data := file.read(_CHUNK if most is None else min(_CHUNK, most - at)):
            at, crc = at + len(data), zlib.crc32(data, crc)
    return at, crc
