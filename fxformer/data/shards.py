"""Shards: files of bounded size with the ids of some documents, written whole or not at all."""

import dataclasses
import functools
import hashlib
import io
import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fxformer.errors import UserError

SHARD_TOKENS = 1 << 26  # a shard is closed once it has so many tokens (256 MiB)
SHARD_DOCUMENTS = 1 << 20  # or so many documents
_OPEN = 128  # files that are mapped at the same time
_BLOCK = 1 << 22  # bytes read at a time


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of ids, `name`, beside the lengths of its documents, `name`.sizes.npy.

    digest: blake2b of the ids, hex
    """

    name: str
    tokens: int
    documents: int
    digest: str

    def is_sound(self, folder: Path, contents: bool = False) -> bool:
        """Whether its files are there, as long as they should be. contents: with this digest"""
        try:
            if (folder / self.name).stat().st_size != 4 * self.tokens:
                return False
            if len(np.load(folder / f"{self.name}.sizes.npy", mmap_mode="r")) != self.documents:
                return False
            return not contents or digest_of(folder / self.name) == self.digest
        except (OSError, ValueError):
            return False


def digest_of(path: Path) -> str:
    """blake2b of a file, hex."""
    found = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def draft_name(folder: Path) -> Path:
    """A name that nothing has. A file of `tempfile` could be read by its owner alone, and a cache
    may be shared."""
    return folder / f".draft.{uuid.uuid4().hex}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there completely or not at all, even after a power failure."""
    draft = draft_name(path.parent)
    with draft.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def write_array(path: Path, array: np.ndarray) -> None:
    """The same for an .npy file."""
    content = io.BytesIO()
    np.save(content, array)
    write_whole(path, content.getvalue())


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """The same for an .npz file of arrays."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[reportArgumentType]  # a stub takes them for options
    write_whole(path, content.getvalue())


class ShardWriter:
    """Writes documents into shards PREFIX.000, PREFIX.001, …; `close` gives their list."""

    def __init__(self, folder: Path, prefix: str):
        self.folder, self.prefix = folder, prefix
        self.shards: list[Shard] = []
        self._ids: list[np.ndarray] = []
        self._tokens, self._sizes, self._file = 0, np.zeros(0, np.uint32), None

    def add(self, documents: Sequence[np.ndarray]) -> None:
        """Append documents of int32 ids."""
        if self._file is None:
            self._draft = draft_name(self.folder)
            self._file, self._digest = self._draft.open("xb"), hashlib.blake2b(digest_size=16)
        sizes = np.array([len(one) for one in documents], np.uint32)
        content = np.concatenate([*documents, np.empty(0, np.int32)]).astype(np.int32).tobytes()
        self._file.write(content)
        self._digest.update(content)
        self._tokens += int(sizes.sum())
        self._sizes = np.concatenate([self._sizes, sizes])
        if self._tokens >= SHARD_TOKENS or len(self._sizes) >= SHARD_DOCUMENTS:
            self._finish()

    def _finish(self) -> None:
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        name = f"{self.prefix}.{len(self.shards):03d}"
        np.save(f"{self._draft}.npy", self._sizes)
        os.replace(f"{self._draft}.npy", self.folder / f"{name}.sizes.npy")
        os.replace(self._draft, self.folder / name)
        digest = self._digest.hexdigest()
        self.shards.append(Shard(name, self._tokens, len(self._sizes), digest))
        self._tokens, self._sizes, self._file = 0, np.zeros(0, np.uint32), None

    def close(self) -> list[Shard]:
        """The shards, all on disk."""
        self._finish()
        return self.shards


def join(folder: Path, split: str, shards: Sequence[Shard]) -> dict:
    """Make one split of shards: SPLIT.shards.json and SPLIT.bounds.npy, [D + 1] int64, written a
    shard at a time. Returns {"documents", "tokens"}."""
    documents = sum(shard.documents for shard in shards)
    path = folder / f"{split}.bounds.npy"
    bounds = np.lib.format.open_memmap(path, "w+", np.int64, (documents + 1,))
    at, tokens = 1, 0
    bounds[0] = 0
    for shard in shards:
        sizes = np.load(folder / f"{shard.name}.sizes.npy")
        bounds[at : at + len(sizes)] = tokens + np.cumsum(sizes, dtype=np.int64)
        at, tokens = at + len(sizes), tokens + shard.tokens
    bounds.flush()
    listed = [dataclasses.asdict(shard) for shard in shards]
    write_whole(folder / f"{split}.shards.json", json.dumps(listed).encode())
    return {"documents": documents, "tokens": tokens}


def shards_of(folder: Path, split: str) -> list[Shard]:
    """The shards of a split, as `join` has written them."""
    listed = json.loads((folder / f"{split}.shards.json").read_text())
    return [Shard(**one) for one in listed]


class Mapped(np.memmap):
    """A mapped file of ids that notices when its file gets shorter: reading beyond its end would
    kill the process with SIGBUS. Whatever is taken from it is an ordinary array."""

    def __getitem__(self, index):
        if self.filename is not None and _size(self.filename) < self.nbytes:
            raise UserError(
                f"data.cache_dir: {self.filename} was cut short by another program while it was in "
                f"use; give the same command again and it is made anew"
            )
        found = super().__getitem__(index)
        return found.view(np.ndarray) if isinstance(found, np.ndarray) else found


def _size(path: str | Path) -> float:
    """In bytes; a file that was deleted is still mapped whole."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return float("inf")


def mapped(path: Path) -> np.ndarray:
    """The ids in `path`, mapped into memory rather than read."""
    if not path.stat().st_size:  # which cannot be mapped
        return np.empty(0, np.int32)
    return Mapped(path, np.int32, mode="r")


class ShardedIds:
    """[N] int32 ids that lie in several files, which are mapped when they are read; an index or a
    slice gives an ordinary array, as that of one array would."""

    dtype, ndim = np.dtype(np.int32), 1

    def __init__(self, folder: Path, shards: Sequence[Shard]):
        sizes = [shard.tokens for shard in shards]
        self._names = [folder / shard.name for shard in shards]
        self._bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._map = functools.lru_cache(_OPEN)(mapped)

    def __len__(self) -> int:
        return int(self._bounds[-1])

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    @property
    def size(self) -> int:
        return len(self)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._range(*index.indices(len(self)))
        at = np.asarray(index)
        if at.dtype == bool:
            at = np.flatnonzero(at)
        if at.size and not -len(self) <= at.min() <= at.max() < len(self):
            raise IndexError(f"{at.min()} … {at.max()} of {len(self)} tokens")
        flat = np.where(at < 0, at + len(self), at).ravel()
        found = np.empty(len(flat), np.int32)
        owner = np.searchsorted(self._bounds, flat, side="right") - 1
        for shard in np.unique(owner):
            here = owner == shard
            found[here] = self._map(self._names[shard])[flat[here] - self._bounds[shard]]
        return found.reshape(at.shape) if at.ndim else found[0]

    def _range(self, start: int, stop: int, step: int) -> np.ndarray:
        if step != 1:
            return self[np.arange(start, stop, step)]
        first = int(np.searchsorted(self._bounds, start, side="right")) - 1
        parts = [np.empty(0, np.int32)]
        while start < stop:
            low, high = self._bounds[first], min(self._bounds[first + 1], stop)
            parts.append(self._map(self._names[first])[start - low : high - low])
            start, first = int(high), first + 1
        return np.concatenate(parts)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)


def read_ids(folder: Path, split: str) -> np.ndarray | ShardedIds:
    """The ids of a split, mapped into memory rather than read."""
    shards = [shard for shard in shards_of(folder, split) if shard.tokens]
    if len(shards) < 2:
        return mapped(folder / shards[0].name) if shards else np.empty(0, np.int32)
    return ShardedIds(folder, shards)
