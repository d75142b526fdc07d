"""The cache on disk: what is made once per key, whole or not at all, whoever else is making it."""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from fxformer.data.documents import Documents
from fxformer.data.progress import Slow

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
        raise ValueError(
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


def write(
    folder: Path,
    split: str,
    texts: Iterable[str],
    encode: Callable[[list[str]], list[np.ndarray]],
    code: Callable[[str], int] | None = None,
) -> dict:
    """Tokenise a split into `folder`. Returns {"documents", "tokens", "bytes"}; bytes of UTF-8.

    code: text -> the token of its control code, which is stored beside the ids"""
    bounds, size, held, characters = [0], 0, [], 0
    codes = []
    with (
        (folder / f"{split}.ids").open("wb") as file,
        Slow(f"Tokenising {split}", "tokens") as work,
    ):

        def flush() -> None:
            for ids in encode(held):
                file.write(np.asarray(ids, np.int32).tobytes())
                bounds.append(bounds[-1] + len(ids))
            work.advance(bounds[-1] - work.done)
            held.clear()

        for text in texts:
            held.append(text)
            if code is not None:
                codes.append(code(text))
            size += len(text.encode())
            characters += len(text)
            if characters >= _AT_ONCE:
                flush()
                characters = 0
        flush()
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / f"{split}.bounds.npy", np.array(bounds, np.int64))
    if code is not None:
        np.save(folder / f"{split}.codes.npy", np.array(codes, np.int32))
    return {"documents": len(bounds) - 1, "tokens": bounds[-1], "bytes": size}


def read(folder: Path, split: str) -> Documents:
    """A split that `write` has written, mapped into memory rather than read."""
    path = folder / f"{split}.ids"
    bounds = np.load(folder / f"{split}.bounds.npy", allow_pickle=False)
    empty = path.stat().st_size == 0  # which cannot be mapped
    tokens = np.empty(0, np.int32) if empty else mapped(path)
    coded = folder / f"{split}.codes.npy"
    codes = np.load(coded, allow_pickle=False) if coded.is_file() else None
    return Documents(tokens, bounds, codes=codes)


class Mapped(np.memmap):
    """A mapped file of ids that notices when its file gets shorter: reading beyond its end would
    kill the process with SIGBUS. Whatever is taken from it is an ordinary array."""

    def __getitem__(self, index):
        if self.filename is not None and _size(self.filename) < self.nbytes:
            raise ValueError(
                f"data.cache_dir: {self.filename} was cut short by another program while it was in "
                f"use; give the same command again and it is made anew"
            )
        found = super().__getitem__(index)
        return found.view(np.ndarray) if isinstance(found, np.ndarray) else found


def _size(path: Path) -> float:
    """In bytes; a file that was deleted is still mapped whole."""
    try:
        return path.stat().st_size
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
            (folder / f"{split}.ids").stat().st_size == 4 * facts(folder)[split]["tokens"]
            and len(np.load(folder / f"{split}.bounds.npy", mmap_mode="r"))
            == facts(folder)[split]["documents"] + 1
            and _codes_are_whole(folder, split)
            for split in ("train", "valid")
        )
    except (OSError, ValueError, KeyError):
        return False


def _codes_are_whole(folder: Path, split: str) -> bool:
    """Whether the codes are there, one for each document, if the corpus has any."""
    if not facts(folder).get("codes"):
        return True
    codes = np.load(folder / f"{split}.codes.npy", mmap_mode="r")
    return len(codes) == facts(folder)[split]["documents"]
