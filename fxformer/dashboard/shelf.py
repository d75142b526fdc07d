"""The runs folder as the page sees it: which runs there are, each read once and then only on."""

import threading
from pathlib import Path

from fxformer.track.store import StoredRun, runs


class Shelf:
    """What every answer is made from. Thread-safe; looks anew at the folder at each `runs`.

    root: the folder that holds the runs
    only: paths of run folders; None: all there are
    """

    def __init__(self, root: str | Path, only: list[Path] | None = None):
        self.root = Path(root)
        self._only = None if only is None else {path.resolve() for path in only}
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple, StoredRun]] = {}

    def runs(self) -> dict[str, StoredRun]:
        """{key: run}, the oldest first; a key is the folder's path below the root."""
        found = {}
        for run in runs(self.root):
            if self._only is None or run.folder.resolve() in self._only:
                found[run.folder.relative_to(self.root).as_posix()] = run
        with self._lock:
            self._known = {key: self._same(key, run) for key, run in found.items()}
            return {key: run for key, (_, run) in self._known.items()}

    def _same(self, key: str, run: StoredRun) -> tuple[tuple, StoredRun]:
        """The run read before, if its run.json has not changed since."""
        status = (run.folder / "run.json").stat()
        mark = (status.st_mtime_ns, status.st_size)
        before = self._known.get(key)
        return before if before is not None and before[0] == mark else (mark, run)

    def run(self, key: str) -> StoredRun:
        """The run called `key`, exactly as `runs` spells it: no other path is ever opened.
        ValueError where there is none."""
        found = self._known.get(key) or (None, self.runs().get(key))
        if found[1] is None:
            raise ValueError(f"there is no run {key!r} in {self.root}/")
        return found[1]
