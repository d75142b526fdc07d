"""Units of preparation: parts of a corpus that are read, tokenised and stored independently."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

SMALLEST = 4 << 20  # bytes of a unit of a small corpus
LARGEST = 256 << 20  # bytes of a unit of a large one


@dataclasses.dataclass(frozen=True)
class FilePart:
    """Bytes start … stop of a file; the lines that begin in them. stop None: to its end."""

    path: Path
    start: int = 0
    stop: int | None = None


@dataclasses.dataclass(frozen=True)
class Unit:
    """What one worker reads in one go.

    split: "train" or "valid", the stream it is part of; documents are held out of that of train
    parts: of files; rows: (first, end) of a dataset; neither: the whole stream
    size: bytes on disk; 0: unknown
    """

    split: str
    parts: tuple[FilePart, ...] = ()
    rows: tuple[int, int] | None = None
    size: int = 0


def unit_size(total: int) -> int:
    """Bytes of a unit, for so many in all: a thousandth, within 4 and 256 MiB. A function of the
    corpus alone, so that what is written is the same for any number of processes."""
    return min(max(total // 1024, SMALLEST), LARGEST)


def file_units(
    split: str, files: list[tuple[Path, int]], splittable: Callable[[Path], bool]
) -> list[Unit]:
    """Units of files (path, size), in their order: several small ones together, a large one in
    parts where it can be read from the middle."""
    most = unit_size(sum(size for _, size in files))
    units: list[Unit] = []
    held: list[FilePart] = []
    held_size = 0
    for part, size in _parts(files, most, splittable):
        if held and held_size + size > most:
            units.append(Unit(split, tuple(held), size=held_size))
            held, held_size = [], 0
        held.append(part)
        held_size += size
    if held:
        units.append(Unit(split, tuple(held), size=held_size))
    return units


def _parts(
    files: list[tuple[Path, int]], most: int, splittable: Callable[[Path], bool]
) -> Iterator[tuple[FilePart, int]]:
    for path, size in files:
        if size <= most or not splittable(path):
            yield FilePart(path), size
            continue
        for start in range(0, size, most):
            stop = min(start + most, size)
            yield FilePart(path, start, None if stop == size else stop), stop - start


def row_units(split: str, rows: int, most: int = 10_000) -> list[Unit]:
    """Units of so many rows of a dataset."""
    firsts = range(0, rows, most)
    return [Unit(split, rows=(first, min(first + most, rows))) for first in firsts]
