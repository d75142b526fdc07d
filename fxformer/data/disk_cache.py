"""The cache on disk: what is made once per key, whole or not at all, whoever else is making it."""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fxformer.data import shards
from fxformer.data.documents import Documents
from fxformer.errors import UserError

_LOG = logging.getLogger(__name__)
ABANDONED = 24 * 3600.0  # seconds


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
        draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        draft.mkdir()  # by the umask: a folder of `tempfile` is its owner's alone
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


def resumable(folder: Path, make: Callable[[Path], None], whole: Callable[[Path], bool]) -> Path:
    """As `once`, for work that takes long: a draft that an interrupted call has left is given to
    `make` again, which goes on with it. Of several processes one makes it, the others wait.

    What raises UserError leaves nothing behind: its cause is in what the user gave.
    """
    if folder.is_dir() and not whole(folder):
        shutil.rmtree(folder, ignore_errors=True)
    draft = folder.with_name(f".{folder.name}.parts")
    while not folder.is_dir():
        with _locked(draft) as mine:
            if mine and folder.is_dir():  # another process finished it as we began
                shutil.rmtree(draft, ignore_errors=True)
            if not mine or folder.is_dir():
                continue
            for path in draft.glob(".draft.*"):  # of a process that was killed
                path.unlink(missing_ok=True)
            try:
                make(draft)
            except UserError:
                shutil.rmtree(draft, ignore_errors=True)
                raise
            draft.rename(folder)
    return folder


@contextlib.contextmanager
def _locked(draft: Path) -> Iterator[bool]:
    """Lock a folder, which is made where it is missing; gives whether it is still in its place
    once it is locked. A process that ends, however, unlocks it."""
    try:
        draft.mkdir(parents=True, exist_ok=True)
        handle = os.open(draft, os.O_RDONLY)
    except FileNotFoundError:  # finished by another process in this moment
        yield False
        return
    except OSError as problem:
        raise UserError(
            f"data.cache_dir: {draft.parent} cannot be written ({problem.strerror})"
        ) from problem
    try:
        _lock(handle, draft)
        try:
            mine = os.fstat(handle).st_ino == draft.stat().st_ino
        except FileNotFoundError:
            mine = False
        yield mine
    finally:
        os.close(handle)


def _lock(handle: int, draft: Path) -> None:
    """Wait for the lock of a folder; none, on a file system that has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _LOG.warning("another process is preparing the same text (%s): waiting for it", draft)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as problem:
        _LOG.warning("%s cannot be locked (%s)", draft.parent, problem.strerror)


def read(folder: Path, split: str) -> Documents:
    """A split of a prepared corpus, mapped into memory rather than read."""
    tokens, bounds = _ids(folder, split)
    coded = folder / f"{split}.codes.npy"
    codes = np.load(coded, mmap_mode="r", allow_pickle=False) if coded.is_file() else None
    source = source_bounds = None
    if (folder / f"{split}.source.shards.json").is_file():
        source, source_bounds = _ids(folder, f"{split}.source")
    return Documents(
        tokens, bounds, source=source, source_bounds=source_bounds, codes=codes, folder=folder
    )


def _ids(folder: Path, name: str) -> tuple[Any, np.ndarray]:
    """Ids (an array or a ShardedIds) and bounds."""
    bounds = np.load(folder / f"{name}.bounds.npy", mmap_mode="r", allow_pickle=False)
    return shards.read_ids(folder, name), bounds


def facts(folder: Path) -> dict:
    """What was written about the corpus when it was made."""
    return json.loads((folder / "facts.json").read_text())


def is_whole(folder: Path) -> bool:
    """Whether all files of a corpus are there, as long as they should be."""
    try:
        known = facts(folder)
        return all(
            _ids_are_whole(folder, split, counts)
            and _codes_are_whole(folder, split, known)
            and ("source" not in counts
                 or _ids_are_whole(folder, f"{split}.source", counts["source"]))
            for split in ("train", "valid")
            for counts in [known[split]]
        )  # fmt: skip
    except (OSError, ValueError, KeyError):
        return False


def _ids_are_whole(folder: Path, name: str, counts: dict) -> bool:
    """Whether ids and bounds are as many as were counted."""
    bounds = np.load(folder / f"{name}.bounds.npy", mmap_mode="r")
    listed = shards.shards_of(folder, name)
    return (
        all(shard.is_sound(folder) for shard in listed)
        and sum(shard.tokens for shard in listed) == counts["tokens"] == bounds[-1]
        and len(bounds) == counts["documents"] + 1
    )


def _codes_are_whole(folder: Path, split: str, known: dict) -> bool:
    """Whether the codes are there, one for each document, if the corpus has any."""
    if not known.get("codes"):
        return True
    codes = np.load(folder / f"{split}.codes.npy", mmap_mode="r")
    return len(codes) == known[split]["documents"]
