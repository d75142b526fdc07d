"""Whether the logs of a run still hold what they held when a checkpoint was saved.

A mark of a log is its length and the CRC-32 of its bytes. Logs only grow (metrics.jsonl is cut
back at a resume, to what it was at the checkpoint), so whatever follows a mark leaves it valid.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path

from fxformer.files import open_regular

LOGS = ("metrics.jsonl", "metrics_all.jsonl", "events.jsonl", "energy.jsonl")
_CHUNK = 1 << 20


class Marks:
    """Marks of the logs in `folder`; each byte is read once, however often marks are taken."""

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


def damage(folder: Path, marks: Mapping[str, list[int]]) -> list[str]:
    """What has happened to the logs since `marks` were taken, a sentence for each."""
    said = []
    for name, (size, crc) in marks.items():
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
    """How many bytes there are, of `most`, and the CRC-32 of them all, given that up to `start`."""
    at = start
    with open_regular(path) as file:
        file.seek(start)
        while data := file.read(_CHUNK if most is None else min(_CHUNK, most - at)):
            at, crc = at + len(data), zlib.crc32(data, crc)
    return at, crc
