"""A small JSON file that the processes of one machine read and change one at a time.

It lies where every process of the machine finds it, whatever its user or TMPDIR, and its name holds
the boot's identity: a file left by an earlier boot, or by another machine on a shared disk, is
another file.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACES = ("/run/lock", "/dev/shm", "/var/tmp", "/tmp")  # noqa: S108 - never TMPDIR: jobs differ in it
FOLDER = "fxformer-meters"
WAIT = 0.5  # seconds to wait for a process that holds the file; it holds it for a millisecond


class BusyError(OSError):
    """Another process has held the file for longer than `WAIT`."""


def meeting_place(places: tuple[str, ...] = PLACES) -> Path | None:
    """The folder in which all processes of this machine meet; None: there is none."""
    for place in places:
        folder = Path(place, FOLDER)
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o777)
            folder.chmod(0o1777)  # for every user, whatever our umask
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


class Book:
    """The file. `path` None: a state of this process alone, kept in memory."""

    def __init__(self, path: Path | None):
        self.path = None if path is None else path.with_name(f"{path.name}-{_boot()}.json")
        self._state: dict[str, Any] = {}

    @contextlib.contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """The state, to be changed in place; {} where the file is new, or was torn by a kill.

        Nothing is written if the body raises. OSError: the file cannot be had; BusyError: not now.
        """
        if self.path is None:
            yield self._state
            return
        import fcntl

        with open(_opened(self.path), "r+b") as file:
            _locked(file, fcntl)
            try:
                state = json.loads(file.read() or b"{}")
            except ValueError:
                state = {}
            state = state if isinstance(state, dict) else {}
            yield state
            file.seek(0)
            file.write(json.dumps(state).encode())
            file.truncate()


def _opened(path: Path) -> int:
    """A descriptor of the file, made for all users if it is not there."""
    try:  # without O_CREAT: the kernel refuses that for another user's file in such a folder
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        pass
    try:
        made = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    os.fchmod(made, 0o666)
    return made


def _locked(file: Any, fcntl: Any) -> None:
    until = time.monotonic() + WAIT
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise BusyError(f"{file.name} is held by another process") from error
            time.sleep(0.002)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
    except OSError:
        return "boot"
