"""The cache on disk: what is made once per key, whole or not at all, whoever else is making it."""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import numpy as np

from fxformer.data.documents import Documents, source_of
from fxformer.data.progress import Slow
from fxformer.errors import UserError

Encode = Callable[[list[str]], list[np.ndarray]]
ABANDONED = 24 * 3600.0  # seconds
_AT_ONCE = 1 << 20  # characters handed to the tokenizer together


def default_folder() -> Path:
    """$XDG_CACHE_HOME/fxformer, or ~/.cache/fxformer."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fxformer"


def once(folder: Path, make: Callable[[Path], None], whole: Callable[[Path], bool]) -> Path:
    """`folder`, as `make` fills it, unless it is there already and `whole`.

    It is made beside its place and moved there by one rename, so that no reader ever sees half of
    it. Of several who make it at the same time the first to finish wins; the outcome is the same.
    """
    if folder.is_dir() and not whole(folder):
        shutil.rmtree(folder, ignore_errors=True)  # cut short by a full disk or a power failure
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as problem:
        raise UserError(
            f"data.cache_dir: {folder.parent} cannot be written ({problem.strerror})"
        ) from problem
    try:
        make(draft)
        draft.rename(folder)
    except OSError:
        if not (folder.is_dir() and whole(folder)):
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def sweep(folder: Path) -> None:
    """Delete drafts of `folder` whose makers were killed: those that nothing has changed for a
    day, and nobody takes so long between two writes."""
    for draft in folder.parent.glob(f".{folder.name}.*"):
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in (draft, *draft.rglob("*")))
            if time.time() - newest > ABANDONED:
                shutil.rmtree(draft, ignore_errors=True)


class _Ids:
    """Ids of documents on their way into the two files of a split, NAME.ids and NAME.bounds.npy."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        self.bounds, self.size = [0], 0  # size: bytes of UTF-8
        self.file = (folder / f"{name}.ids").open("wb")

    def add(self, texts: list[str], encode: Encode) -> None:
        for ids in encode(texts):
            self.file.write(np.asarray(ids, np.int32).tobytes())
            self.bounds.append(self.bounds[-1] + len(ids))
        self.size += sum(len(text.encode()) for text in texts)

    def close(self) -> dict:
        """{"documents", "tokens", "bytes"} of what lies on the disk now."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        np.save(self.folder / f"{self.name}.bounds.npy", np.array(self.bounds, np.int64))
        counts = {"documents": len(self.bounds) - 1, "tokens": self.bounds[-1]}
        return counts | {"bytes": self.size}


def write(
    folder: Path,
    split: str,
    texts: Iterable[str],
    encode: Encode,
    code: Callable[[str], int] | None = None,
    source: Encode | None = None,
) -> dict:
    """Tokenise a split into `folder`. Returns {"documents", "tokens", "bytes"}, and for pairs those
    of "source"; bytes of UTF-8.

    code: text -> the token of its control code, which is stored beside the ids
    source: as `encode`, for the source texts of pairs; None: single texts
    """
    held, characters, codes = [], 0, []
    with contextlib.ExitStack() as stack:
        names = [split] if source is None else [split, f"{split}.source"]
        sides = [_Ids(folder, name) for name in names]
        for side in sides:
            stack.enter_context(side.file)
        work = stack.enter_context(Slow(f"Tokenising {split}", "tokens"))

        def flush() -> None:
            sides[0].add(held, encode)
            if source is not None:  # then every text has one
                sides[1].add(cast(list[str], [source_of(text) for text in held]), source)
            work.advance(sides[0].bounds[-1] - work.done)
            held.clear()

        for text in texts:
            held.append(text)
            if code is not None:
                codes.append(code(text))
            characters += len(text) + len(source_of(text) or "")
            if characters >= _AT_ONCE:
                flush()
                characters = 0
        flush()
        counts = [side.close() for side in sides]
    if code is not None:
        np.save(folder / f"{split}.codes.npy", np.array(codes, np.int32))
    return counts[0] | ({} if source is None else {"source": counts[1]})


def read(folder: Path, split: str) -> Documents:
    """A split that `write` has written, mapped into memory rather than read."""
    tokens, bounds = _ids(folder, split)
    coded = folder / f"{split}.codes.npy"
    codes = np.load(coded, allow_pickle=False) if coded.is_file() else None
    source = source_bounds = None
    if (folder / f"{split}.source.ids").is_file():
        source, source_bounds = _ids(folder, f"{split}.source")
    return Documents(tokens, bounds, source=source, source_bounds=source_bounds, codes=codes)


def _ids(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """What `_Ids` has written: ids and bounds."""
    path = folder / f"{name}.ids"
    bounds = np.load(folder / f"{name}.bounds.npy", allow_pickle=False)
    empty = path.stat().st_size == 0  # which cannot be mapped
    return np.empty(0, np.int32) if empty else mapped(path), bounds


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
    return Mapped(path, np.int32, mode="r")


def facts(folder: Path) -> dict:
    """What was written about the corpus when it was made."""
    return json.loads((folder / "facts.json").read_text())


def is_whole(folder: Path) -> bool:
    """Whether all files of a corpus are there, as long as they should be."""
    try:
        return all(
            _ids_are_whole(folder, split, counts)
            and _codes_are_whole(folder, split)
            and ("source" not in counts
                 or _ids_are_whole(folder, f"{split}.source", counts["source"]))
            for split in ("train", "valid")
            for counts in [facts(folder)[split]]
        )  # fmt: skip
    except (OSError, ValueError, KeyError):
        return False


def _ids_are_whole(folder: Path, name: str, counts: dict) -> bool:
    """Whether ids and bounds are as many as were counted."""
    bounds = np.load(folder / f"{name}.bounds.npy", mmap_mode="r")
    size = (folder / f"{name}.ids").stat().st_size
    return size == 4 * counts["tokens"] and len(bounds) == counts["documents"] + 1


def _codes_are_whole(folder: Path, split: str) -> bool:
    """Whether the codes are there, one for each document, if the corpus has any."""
    if not facts(folder).get("codes"):
        return True
    codes = np.load(folder / f"{split}.codes.npy", mmap_mode="r")
    return len(codes) == facts(folder)[split]["documents"]
