"""Crash points: every change of the file system below a folder, and the folder as it was there.

A change is a file opened for writing, a line appended, a write that was torn, a sync, a
rename, a link, a deletion, a folder made or removed. A process killed with SIGKILL between two
changes leaves the files as they are then, for the kernel keeps what was written; so a copy of the
folder stands for the kill.
"""

import builtins
import contextlib
import os
import random
import shutil
import signal
import stat
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from fxformer import jsonl

PATHS = {  # audit event: where its arguments hold a path, and its folder's descriptor
    "os.rename": (1, 3), "os.remove": (0, 1), "os.mkdir": (0, 2), "os.rmdir": (0, 1),
    "os.link": (1, 3), "os.symlink": (1, 2), "os.truncate": (0, None),
}  # fmt: skip


class Points:
    """Counts the changes below `root` and hands some of them to `visit`.

    visit(n, what, path, cut): called before change n is made. cut: for a write that is thought
        torn, how many bytes of `path` there would be; else None
    """

    def __init__(self, root: Path, visit: Callable[[int, str, Path, int | None], None]):
        self.root, self.visit = root.resolve(), visit
        self.count, self.kinds = 0, Counter()
        self._lock = threading.RLock()
        self._thread_busy = threading.local()

    def audit(self, event: str, args: tuple) -> None:
        if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
            if args[2] & (os.O_WRONLY | os.O_RDWR):
                self.point("open", args[0])
        elif event in PATHS:
            place, folder = PATHS[event]
            handle = args[folder] if folder is not None and len(args) > folder else -1
            self.point(event.removeprefix("os."), args[place], handle)

    def point(self, what: str, path, handle: int = -1, cut: int | None = None) -> None:
        if getattr(self._thread_busy, "on", False) or isinstance(path, int):
            return
        place = Path(os.fsdecode(path))
        if not place.is_absolute():
            place = Path(os.readlink(f"/proc/self/fd/{handle}") if handle >= 0 else ".") / place
            place = place.absolute()
        if not place.is_relative_to(self.root):
            return
        self._thread_busy.on = True
        try:
            with self._lock:
                self.count, n = self.count + 1, self.count
                self.kinds[what] += 1
                self.visit(n, what, place, cut)
        finally:
            self._thread_busy.on = False

    def wrote(self, path: Path, before: int) -> None:
        """Something was appended to `path`, which had `before` bytes: it may be cut anywhere."""
        size = path.stat().st_size
        for part in (1, 2, 3) if path.suffix != ".jsonl" else (2,):
            if before < (cut := before + (size - before) * part // 4) < size:
                self.point("torn", path, cut=cut)
        self.point("write", path)


_active: list[Points] = []


def _hook(event: str, args: tuple) -> None:
    if _active:
        _active[-1].audit(event, args)


@contextlib.contextmanager
def watched(points: Points) -> Iterator[Points]:
    """Every change in here is a point."""
    write, sync = jsonl.Writer.write, os.fsync

    def writing(self, line, **knobs):
        before = self.path.stat().st_size if self.path.exists() else 0
        write(self, line, **knobs)
        if self.path.exists() and self.path.resolve().is_relative_to(points.root):
            points.wrote(self.path, before)

    def syncing(handle: int) -> None:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            path = Path(os.readlink(f"/proc/self/fd/{handle}"))
            if path.suffix != ".jsonl" and path.exists():  # lines are counted as they are written
                points.wrote(path, 0)
        sync(handle)

    if not getattr(builtins, "_crash_points_hooked", False):  # a hook stays for good
        sys.addaudithook(_hook)
        builtins._crash_points_hooked = True
    jsonl.Writer.write, os.fsync = writing, syncing
    _active.append(points)
    try:
        yield points
    finally:
        _active.remove(points)
        jsonl.Writer.write, os.fsync = write, sync


class Copies:
    """Copies of `root` as it is at each point, or at `wanted` of them drawn by `seed`."""

    def __init__(self, root: Path, into: Path, wanted: int | None = None, seed: int = 0):
        self.root, self.into, self.wanted = root, into, wanted
        self._draw, self._kept = random.Random(seed), {}
        self.found: dict[int, tuple[str, Path]] = {}

    def __call__(self, n: int, what: str, path: Path, cut: int | None) -> None:
        rank = self._draw.random()
        if self.wanted == 0:
            return
        if self.wanted is not None and len(self._kept) >= self.wanted:
            worst = max(self._kept, key=self._kept.__getitem__)
            if rank >= self._kept[worst]:
                return
            del self._kept[worst], self.found[worst]
            shutil.rmtree(self.into / str(worst))
        self._kept[n], self.found[n] = rank, (what, path)
        copy = self.into / str(n)
        shutil.copytree(self.root, copy, symlinks=True)
        if cut is not None:
            os.truncate(copy / path.relative_to(self.root), cut)


def restore(copy: Path, root: Path) -> None:
    """Put a copy where the folder was: paths in its files stay right."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(copy, root, symlinks=True)


def kill_at(number: int) -> Callable[[int, str, Path, int | None], None]:
    """A visit that kills this process with SIGKILL at a point."""

    def visit(n: int, what: str, path: Path, cut: int | None) -> None:
        if n == number:
            if cut is not None:
                os.truncate(path, cut)
            os.kill(os.getpid(), signal.SIGKILL)

    return visit
