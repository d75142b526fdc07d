"""Who holds a run's folder: a lock that dies with its process, and a record others can read."""

import contextlib
import datetime
import os
import socket
from pathlib import Path
from typing import Any, NoReturn


class RunBusyError(ValueError):
    """The folder belongs to a process that is alive."""


class Lock:
    """An exclusive lock on `folder`/.lock, taken at once or RunBusyError.

    The kernel's lock decides and is gone with its process, however it ends, so a killed run can be
    taken over immediately. What is written in the file is for the message, and for shared file
    systems on which the locks of other hosts are not seen: another host's name is honoured.
    """

    def __init__(self, folder: Path):
        import fcntl

        self._file = open(folder / ".lock", "a+b", buffering=0)  # noqa: SIM115 - held
        self._file.seek(0)
        holder = self._file.read().decode(errors="replace").strip()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._refuse(folder, holder or "another process", error)
        host = holder.partition(" on ")[2].partition(" since ")[0]
        if host and host != socket.gethostname():
            words = f"{holder}, on another host; if that is no longer so, delete {folder / '.lock'}"
            self._refuse(folder, words)
        self._write(f"pid {os.getpid()} on {socket.gethostname()} since {now()}")

    def release(self) -> None:
        """Let go; twice is harmless."""
        if not self._file.closed:
            self._write("")
            self._file.close()

    def _write(self, holder: str) -> None:
        with contextlib.suppress(OSError):  # a full disk takes nothing from the lock
            self._file.truncate(0)
            self._file.write(holder.encode())

    def _refuse(self, folder: Path, holder: str, cause: OSError | None = None) -> NoReturn:
        self._file.close()
        raise RunBusyError(f"{folder} is in use by {holder}") from cause


def now() -> str:
    """The time as ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def record() -> dict[str, Any]:
    """This process: host, pid, and when it was born, for pids are used again."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}


def alive(owner: dict[str, Any]) -> bool:
    """Whether the process of `record()` still runs. On another host nobody can tell: yes."""
    if owner.get("host") != socket.gethostname():
        return True
    pid = owner.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if _state(pid) in ("Z", "X"):  # killed, and nobody has collected it: a container without init
        return False
    born = _born(pid)
    return born is None or owner.get("born") is None or born == owner["born"]


def _born(pid: int) -> str | None:
    """Start time in clock ticks and the boot it counts from; None where /proc does not tell."""
    with contextlib.suppress(OSError, IndexError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{_stat(pid)[19]}"
    return None


def _state(pid: int) -> str | None:
    """The letter that `ps` shows; None where /proc does not tell."""
    with contextlib.suppress(OSError, IndexError):
        return _stat(pid)[0]
    return None


def _stat(pid: int) -> list[str]:
    """The fields after the command's name."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
