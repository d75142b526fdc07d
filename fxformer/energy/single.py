"""One process of a machine reads a counter that all of them would see: the others charge nothing.

Processes of one run, trials of a search side by side, or two runs on one GPU: whoever comes first
counts the device for all of them, so that the sum over ledgers is what was used, once. When that
process ends, however it ends, another one takes over.
"""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fxformer.energy.source import Reading, Source

PLACE = Path(tempfile.gettempdir()) / "fxformer-meters"  # not seen from another container


class Single:
    """A source that is read only while this process holds the lock called `what`.

    The kernel's lock decides and is gone with its process. From the moment of taking over, counting
    starts at zero. Where there can be no lock (no such folder, no such system), it is read.
    """

    def __init__(self, source: Source, what: str, place: Path = PLACE):
        self.name, self.every = source.name, source.every
        self._source, self._path = source, place / f"{what.replace('/', '-')}.lock"
        self._file = None
        self._before: dict[tuple, float] = {}
        self.mine = self._take()

    def read(self) -> Sequence[Reading]:
        """Cumulative joules of the time in which this process counted; () before."""
        if not self.mine:
            if not self._take():
                return ()
            self.mine = True
            self._before = {_key(r): r.joules for r in self._source.read()}
        found = self._source.read()
        return [dataclasses.replace(r, joules=r.joules - self._before.get(_key(r), 0.0))
                for r in found]

    def close(self) -> None:
        """Let the source and the lock go."""
        self._source.close()
        if self._file is not None:
            self._file.close()

    def _take(self) -> bool:
        try:
            import fcntl
        except ImportError:
            return True
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o777, exist_ok=True)
            os.chmod(self._path.parent, 0o1777)  # all users of the machine meet here
        try:
            known = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW  # another user's will do
            file = open(os.open(self._path, known, 0o644), "rb")  # noqa: SIM115 - held
        except OSError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True


def _key(reading: Reading) -> tuple:
    return reading.device, reading.source, reading.provenance
