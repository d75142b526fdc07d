"""Index of packed rows: where pieces of text begin, and which of them share a row.

It is made a window of pieces at a time. The index of many pieces lies on disk, beside the token
ids, and is mapped into memory: it takes none, whatever the size of the corpus.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fxformer.data import disk_cache
from fxformer.data.documents import Documents
from fxformer.ranges import ranges

IN_MEMORY = 1 << 20  # pieces; the index of more is kept on disk
_DOCUMENTS = 1 << 16  # cut at a time
Width = Callable[[np.ndarray], np.ndarray]  # sizes of pieces -> places of a row that they take
_COLUMNS = ("start", "size", "order", "bounds")


@dataclasses.dataclass(frozen=True)
class PackingIndex:
    """int64 arrays. start, size: [P], where the text of a piece is in documents.tokens, and how
    long it is; order: [P], pieces by row and by place in it; bounds: [R + 1], into `order`."""

    start: np.ndarray
    size: np.ndarray
    order: np.ndarray
    bounds: np.ndarray


def cut_pieces(documents: Documents, room: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """start and size of pieces of `room` tokens, and of the rest of each document, of some
    documents at a time."""
    for low in range(0, len(documents), _DOCUMENTS):
        bounds = np.asarray(documents.bounds[low : low + _DOCUMENTS + 1])
        counts = -(-np.diff(bounds) // room)
        number = ranges(np.zeros_like(counts), counts)
        start = np.repeat(bounds[:-1], counts) + number * room
        yield start, np.minimum(np.repeat(bounds[1:], counts) - start, room)


def packing_index(
    documents: Documents, room: int, length: int, width: Width, window: int
) -> PackingIndex:
    """The index of the pieces of documents that are cut to `room` tokens and fitted together in
    rows of `length` places, `window` neighbours at a time."""
    least = len(documents) + len(documents.tokens) // room
    if documents.folder is None or least <= IN_MEMORY:
        parts = list(_windows(documents, room, length, width, window))
        none = np.zeros(0, np.int64)
        start, size, order, counts = (
            np.concatenate([none, *column]) for column in zip(*parts, strict=True)
        )
        return PackingIndex(start, size, order, _bounds(counts))
    folder = (
        documents.folder.parent.parent / "packing" / _key(documents, room, length, width, window)
    )

    def make(draft: Path) -> None:
        _write(draft, _windows(documents, room, length, width, window))

    disk_cache.resumable(folder, make, is_whole)
    found = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _COLUMNS)
    return PackingIndex(*found)


def is_whole(folder: Path) -> bool:
    """Whether all arrays of an index are there, as long as they should be."""
    try:
        start, size, order, bounds = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in _COLUMNS
        )
    except (OSError, ValueError):
        return False
    return len(start) == len(size) == len(order) == bounds[-1]


def _windows(
    documents: Documents, room: int, length: int, width: Width, window: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """(start, size, order, pieces of each row) of one window of pieces after the other."""
    held, pieces, base = [np.zeros((2, 0), np.int64)], 0, 0

    def fitted_part(part: np.ndarray):
        order, counts = fitted_window(width(part[1]), length)
        return part[0], part[1], order + base, counts

    for start, size in cut_pieces(documents, room):
        held.append(np.stack([start, size]))
        pieces += len(start)
        if pieces >= window:
            whole = np.concatenate(held, axis=1)
            full = pieces - pieces % window
            for low in range(0, full, window):
                yield fitted_part(whole[:, low : low + window])
                base += window
            held, pieces = [whole[:, full:]], pieces - full
    if pieces:
        yield fitted_part(np.concatenate(held, axis=1))


def _key(documents: Documents, room: int, length: int, width: Width, window: int) -> str:
    """Key of all that an index depends on: the sizes of documents, and the widths of pieces."""
    digest = hashlib.blake2b(f"{room} {length} {window} ".encode(), digest_size=16)
    for start, size in cut_pieces(documents, room):
        for one in (start, size, width(size)):
            digest.update(np.ascontiguousarray(one, np.int64).tobytes())
    return digest.hexdigest()


def _write(folder: Path, parts: Iterator[tuple[np.ndarray, ...]]) -> None:
    """Write the columns of an index as .npy files, a window at a time."""
    names = ("start", "size", "order", "counts")
    files = [(folder / f"{name}.raw").open("wb") for name in names]
    try:
        for part in parts:
            for file, column in zip(files, part, strict=True):
                file.write(np.ascontiguousarray(column, np.int64).tobytes())
    finally:
        for file in files:
            file.close()
    for name in names:
        raw = np.memmap(folder / f"{name}.raw", np.int64, mode="r")
        rows = name == "counts"
        path = folder / ("bounds.npy" if rows else f"{name}.npy")
        array = np.lib.format.open_memmap(path, "w+", np.int64, (len(raw) + rows,))
        total = 0
        for low in range(0, len(raw), IN_MEMORY):
            part = raw[low : low + IN_MEMORY]
            if rows:
                array[low + 1 : low + 1 + len(part)] = total + np.cumsum(part)
                total += int(part.sum())
            else:
                array[low : low + len(part)] = part
        array.flush()
        (folder / f"{name}.raw").unlink()


def _bounds(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def fitted(widths: np.ndarray, length: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    """order and bounds (see `PackingIndex`) of pieces that share rows, `window` at a time."""
    none = np.zeros(0, np.int64)
    orders, counts = [none], [none]
    for low in range(0, len(widths), window):
        order, count = fitted_window(widths[low : low + window], length)
        orders.append(order + low)
        counts.append(count)
    return np.concatenate(orders), _bounds(np.concatenate(counts))


def fitted_window(widths: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Pieces by row, [n], and the number of pieces of each row."""
    row = best_fit(widths, length)
    return np.argsort(row, kind="stable"), np.bincount(row)


def best_fit(widths: np.ndarray, length: int) -> np.ndarray:
    """The row of each piece: longest pieces first, each into the fullest row that still has room
    (best-fit decreasing; Johnson et al. 1974). widths: [n], each <= length. Rows: [n] int64."""
    rows_with: list[list[int]] = [[] for _ in range(length + 1)]  # by free places
    open_rooms = 0  # bit r is set where rows_with[r] is not empty
    result, rows = np.empty(len(widths), np.int64), 0
    for i in np.argsort(-widths, kind="stable").tolist():
        width = int(widths[i])
        fitting = open_rooms >> width
        if fitting:
            room = width + (fitting & -fitting).bit_length() - 1
            row = rows_with[room].pop()
            if not rows_with[room]:
                open_rooms ^= 1 << room
        else:
            room, row, rows = length, rows, rows + 1
        result[i] = row
        if room > width:
            rows_with[room - width].append(row)
            open_rooms |= 1 << (room - width)
    return result
