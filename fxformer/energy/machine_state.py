"""JSON state shared by the processes of one machine, in a file locked for each change.

The file lies where every process of the machine finds it, whatever its user or TMPDIR. Its name
holds the boot id: a file left by an earlier boot, or by another machine on a shared disk, is
another file.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Never TMPDIR, in which jobs differ.
PARENTS = ("/run/lock", "/dev/shm", "/var/tmp", "/tmp")  # noqa: S108
FOLDER = "fxformer-energy"
LOCK_SECONDS = 0.5  # how long to wait for the lock; a process holds it for about a millisecond


class BusyError(OSError):
    """Another process has held the lock for longer than `LOCK_SECONDS`."""


def shared_folder(parents: tuple[str, ...] = PARENTS) -> Path | None:
    """A folder that all processes of this machine can write; None: there is none."""
    for parent in parents:
        folder = Path(parent, FOLDER)
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o777)
            folder.chmod(0o1777)  # for every user, whatever our umask
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


class MachineState:
    """The shared state. `path` None: a state of this process alone, in memory."""

    def __init__(self, path: Path | None):
        self.path = None if path is None else path.with_name(f"{path.name}-{_boot_id()}.json")
        self._state: dict[str, Any] = {}

    @contextlib.contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """Lock the file and yield its state, to be changed in place; {} where the file is new or
        was left incomplete by a killed process.

        Nothing is written if the body raises. OSError: the file cannot be opened; BusyError: it is
        locked.
        """
        if self.path is None:
            yield self._state
            return
        import fcntl

        with open(_open(self.path), "r+b") as file:
            _lock(file, fcntl)
            try:
                state = json.loads(file.read() or b"{}")
            except ValueError:
                state = {}
            state = state if isinstance(state, dict) else {}
            yield state
            file.seek(0)
            file.write(json.dumps(state).encode())
            file.truncate()


def _open(path: Path) -> int:
    """A descriptor of the file, created for all users if it does not exist."""
    try:  # without O_CREAT: the kernel refuses that for another user's file in such a folder
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        pass
    try:
        new = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    os.fchmod(new, 0o666)
    return new


def _lock(file: Any, fcntl: Any) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise BusyError(f"{file.name} is locked by another process") from error
            time.sleep(0.002)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
    except OSError:
        return "boot"
