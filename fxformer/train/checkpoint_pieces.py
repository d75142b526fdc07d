"""Pieces of the arrays of a checkpoint: what each of several processes writes and reads.

One process writes whole arrays into `state.safetensors`. Of several, each writes into a file of its
own (`state.safetensors` of process 0, `state-1.safetensors` …) the pieces that it holds, named by
their path and place: `params/model/embed[0:16,0:64]`. A piece that several devices hold is written
by the first. host.json has the checksums of all files and the shapes of the whole arrays, so that
any number of processes, with any mesh, can put them together again.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fxformer.train.checkpoint_files import DamagedCheckpoint, read_tensors

Index = tuple[slice, ...]
Bounds = list[tuple[int, int]]  # (first, end) along each axis
NAME = re.compile(r"(.*)\[([0-9]+:[0-9]+(?:,[0-9]+:[0-9]+)*)\]")
FILE = re.compile(r"state(-[0-9]+)?\.safetensors")


def file_of(process: int) -> str:
    """Name of the file of a process."""
    return f"state-{process}.safetensors" if process else "state.safetensors"


def own_pieces(leaves: Mapping[str, Any], *, first: bool) -> dict[str, np.ndarray | jax.Array]:
    """{name: piece} of what this process writes. first: whether it is process 0, which writes what
    every process has whole."""
    found: dict[str, np.ndarray | jax.Array] = {}
    for path, leaf in leaves.items():
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
            if first:
                found[path] = leaf
            continue
        for shard in leaf.addressable_shards:
            if shard.replica_id == 0:
                found[piece_name(path, shard.index, leaf.shape)] = shard.data
    return found


def piece_name(path: str, index: Index, shape: tuple[int, ...]) -> str:
    """Name of the piece of an array at `index`; of all of it, the path."""
    bounds = bounds_of(index, shape)
    if bounds == all_of(shape):
        return path
    return f"{path}[{','.join(f'{low}:{high}' for low, high in bounds)}]"


def held_pieces(leaves: Mapping[str, Any]) -> dict[str, list[Bounds]]:
    """{path: bounds of the parts that devices of this process hold} of abstract arrays with
    shardings."""
    return {
        path: [
            bounds_of(index, leaf.shape)
            for index in leaf.sharding.addressable_devices_indices_map(leaf.shape).values()
        ]
        for path, leaf in leaves.items()
    }


class StoredPieces:
    """The arrays of a checkpoint, memory-mapped.

    folder: of the checkpoint
    body: of its host.json
    held: as from `held_pieces`: only what overlaps with it is verified; None: everything is
    Raises DamagedCheckpoint.
    """

    def __init__(
        self,
        folder: Path,
        body: Mapping[str, Any],
        held: Mapping[str, list[Bounds]] | None = None,
    ):
        self.folder = folder
        self._shapes = {path: tuple(shape) for path, shape in body.get("shapes", {}).items()}
        self._pieces: dict[str, list[tuple[Bounds, np.ndarray]]] = {}

        def overlaps(name: str, shape: tuple[int, ...]) -> bool:
            path, bounds = self._place(name, shape)
            return any(_common(bounds, part) is not None for part in (held or {}).get(path, ()))

        for file, sums in {file_of(0): body["sums"], **body.get("parts", {})}.items():
            if not FILE.fullmatch(file):
                raise DamagedCheckpoint(f"{folder}: {file!r} is no name of a file of arrays")
            arrays = read_tensors(folder / file, sums, None if held is None else overlaps)
            for name, array in arrays.items():
                path, bounds = self._place(name, array.shape)
                self._pieces.setdefault(path, []).append((bounds, array))

    def abstract(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and dtypes by path."""
        return {
            path: jax.ShapeDtypeStruct(self._shape(path), pieces[0][1].dtype)
            for path, pieces in self._pieces.items()
        }

    def whole(self) -> dict[str, np.ndarray]:
        """All arrays by path; those of one piece stay memory-mapped."""
        return {path: self.take(path) for path in self._pieces}

    def take(self, path: str, index: Index | None = None) -> np.ndarray:
        """A part of an array, put together from its pieces. Raises DamagedCheckpoint where some of
        it is in none."""
        shape, pieces = self._shape(path), self._pieces[path]
        wanted = all_of(shape) if index is None else bounds_of(index, shape)
        if pieces[0][0] == all_of(shape):
            array = pieces[0][1]
            return array if index is None else array[index]
        made = np.empty([high - low for low, high in wanted], pieces[0][1].dtype)
        filled = 0
        for bounds, array in pieces:
            if (common := _common(bounds, wanted)) is not None:
                made[_within(common, wanted)] = array[_within(common, bounds)]
                filled += math.prod(high - low for low, high in common)
        if filled != made.size:
            raise DamagedCheckpoint(f"{self.folder}: some of {path} is in no file")
        return made

    def _shape(self, path: str) -> tuple[int, ...]:
        known = self._shapes.get(path)
        return self._pieces[path][0][1].shape if known is None else known

    def _place(self, name: str, shape: tuple[int, ...]) -> tuple[str, Bounds]:
        """(path, bounds) of a piece by its name; shape: of the piece"""
        found = NAME.fullmatch(name)
        if found is None or found[1] not in self._shapes:
            return name, all_of(shape)
        pairs = (part.split(":") for part in found[2].split(","))
        bounds, whole = [(int(low), int(high)) for low, high in pairs], self._shapes[found[1]]
        inside = len(bounds) == len(whole) and all(
            low <= high <= size for (low, high), size in zip(bounds, whole, strict=True)
        )
        if not inside or tuple(high - low for low, high in bounds) != tuple(shape):
            raise DamagedCheckpoint(
                f"{self.folder}: {name} of shape {list(shape)} is no part of {list(whole)}"
            )
        return found[1], bounds


def bounds_of(index: Index, shape: tuple[int, ...]) -> Bounds:
    """Bounds of a part of an array."""
    return [part.indices(size)[:2] for part, size in zip(index, shape, strict=True)]


def all_of(shape: tuple[int, ...]) -> Bounds:
    """Bounds of all of an array."""
    return [(0, size) for size in shape]


def _common(one: Bounds, other: Bounds) -> Bounds | None:
    """What two parts share; None: nothing."""
    found = [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(one, other, strict=True)]
    return None if any(low >= high for low, high in found) else found


def _within(part: Bounds, frame: Bounds) -> Index:
    """Where `part` lies in an array that holds `frame`."""
    return tuple(
        slice(low - first, high - first)
        for (low, high), (first, _) in zip(part, frame, strict=True)
    )
