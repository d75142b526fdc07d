"""Lock of a run's folder: a file lock, a lease that its owner renews, and a readable record."""

import contextlib
import datetime
import errno
import os
import socket
import sys
import threading
import time
import uuid
import weakref
from pathlib import Path
from typing import Any, NoReturn

from fxformer.errors import UserError
from fxformer.files import not_own, open_own, read_text

LEASE_SECONDS = 60.0  # without a renewal after which an owner on another machine counts as dead
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # a file system without locks


class RunBusyError(UserError):
    """The folder is locked by a live process."""


class RunLinkedError(UserError):
    """A symbolic link in the folder leads out of it: a write would change other files."""


class RunGoneError(UserError):
    """The folder was deleted during the run."""


class RunLost(SystemExit):
    """Another process has taken the folder over; this one must stop writing. Exit code 75."""

    def __init__(self, words: str):
        super().__init__(75)
        self.words = words

    def __str__(self) -> str:
        return self.words


class RunLock:
    """An exclusive lock on `folder`/.lock, or RunBusyError, or RunLinkedError.

    On one machine the kernel's lock decides. It is released when its process ends, however it ends,
    so a killed run can be taken over at once. On shared file systems the locks of other machines
    may not be seen; there the owner's lease decides: the file's modification time, renewed every
    quarter of `lease` seconds. An owner on another machine (another boot id, whatever its host
    name) is waited for until it has not renewed for `lease` seconds, and refused once it does.
    An owner that lost the folder while it was suspended gets RunLost from `verify`.
    """

    def __init__(self, folder: Path, *, lease: float = LEASE_SECONDS):
        self.folder, self.lease, self._lost = Path(folder), lease, ""
        self._path, self._token = self.folder / ".lock", uuid.uuid4().hex
        if linked := not_own(self.folder) or not_own(self.folder / "checkpoints"):
            raise RunLinkedError(linked)
        self._file = open_own(self._path, "a+b")
        locked, holder = self._flock(), self._read()
        if holder and not (locked and _this_machine(holder)) and not _dead_here(holder):
            self._outlast(holder)
            self._take_over(holder)
        else:
            self._write(self._record())
        self._renewed, self._ended = _boottime(), threading.Event()
        # A strong reference would keep an abandoned lock alive, and the folder locked.
        arguments = (weakref.ref(self), self._ended, lease / 4)
        threading.Thread(target=_renewing, args=arguments, daemon=True, name="lease").start()

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        self._ended.set()
        if not self._file.closed:
            if not self._lost:
                self._write("")
            self._file.close()

    def renew(self) -> None:
        """Renew the lease, and check whether the folder is still this process's."""
        if self._file.closed:
            return
        if not self.folder.is_dir():
            self._lost = "gone"
        elif (holder := self._read()) and _field(holder, "token") != self._token:
            self._lost = _shown(holder)
        with contextlib.suppress(OSError, ValueError):
            os.utime(self._file.fileno())
            self._renewed = _boottime()

    def verify(self, *, now: bool = False) -> None:
        """Raise RunLost or RunGoneError where the folder is no longer this process's.

        Cheap unless the lease is overdue, as after a suspension. now: check in any case
        """
        if now or _boottime() - self._renewed > self.lease / 2:
            self.renew()
        if self._lost == "gone":
            raise RunGoneError(
                f"{self.folder} was deleted while the run was going on: nothing "
                "of it can be saved; start a new run"
            )
        if self._lost:
            raise RunLost(f"{self.folder} was taken over by {self._lost}; this process stops")

    def _flock(self) -> bool:
        """Whether the kernel has locked the file; False where the file system has no locks."""
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return False
            self._refuse(_shown(self._read()) or "another process", error)
        return True

    def _outlast(self, holder: str) -> None:
        """Return when the holder has not renewed for the lease; refuse as soon as it does."""
        stamp = self._path.stat().st_mtime
        left = self.lease - max(0.0, min(self.lease, self._age(stamp)))
        if left > 0:
            print(
                f"fxformer: {self.folder} may be in use by {_shown(holder)}, on another machine; "
                f"it is taken over in {left:.0f} s unless that renews its lease",
                file=sys.stderr,
            )
        end = time.monotonic() + left
        while time.monotonic() < end:
            time.sleep(min(0.5, self.lease / 8))
            if self._path.stat().st_mtime != stamp or self._read() != holder:
                self._refuse(f"{_shown(holder)}, on another machine, which renews its lease")

    def _age(self, stamp: float) -> float:
        """Seconds since `stamp` by the clock that stamps the files of this folder."""
        probe = self.folder / f".probe.{self._token}"
        try:
            probe.touch()
            return probe.stat().st_mtime - stamp
        except OSError:
            return 0.0
        finally:
            probe.unlink(missing_ok=True)

    def _take_over(self, holder: str) -> None:
        """Replace a dead holder's record; of several processes only one can."""
        claim = self.folder / ".lock.takeover"
        with contextlib.suppress(OSError):
            if self._age(claim.stat().st_mtime) > self.lease:  # left by a process that died here
                claim.rename(self.folder / f".lock.{self._token}")
                (self.folder / f".lock.{self._token}").unlink()
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError as error:
            self._refuse("another process that takes it over", error)
        try:
            if self._read() != holder:
                self._refuse(_shown(self._read()) or "another process")
            self._write(self._record())
        finally:
            claim.unlink(missing_ok=True)

    def _record(self) -> str:
        who = f"pid {os.getpid()} on {socket.gethostname()} since {utc_now()}"
        start = _process_start(os.getpid()) or "unknown/0"
        return f"{who} process_start {start} token {self._token}"

    def _read(self) -> str:
        with contextlib.suppress(OSError):  # by its name: another may have put a file there
            return read_text(self._path, "replace").strip()
        return ""

    def _write(self, holder: str) -> None:
        with contextlib.suppress(OSError):  # a full disk does not affect the lock
            self._file.truncate(0)
            self._file.write(holder.encode())

    def _refuse(self, holder: str, cause: OSError | None = None) -> NoReturn:
        self._file.close()
        raise RunBusyError(f"{self.folder} is in use by {holder}") from cause


def _renewing(held: "weakref.ref[RunLock]", ended: threading.Event, seconds: float) -> None:
    while not ended.wait(seconds):
        lock = held()
        if lock is None:
            return
        lock.renew()
        del lock


def _field(holder: str, name: str) -> str:
    """A field of a lock's record: `pid`, `on`, `since`, `process_start`, `token`; "" if missing."""
    words = holder.split()
    return dict(zip(words[::2], words[1::2], strict=False)).get(name, "")


def _shown(holder: str) -> str:
    return holder.partition(" process_start ")[0]


def _this_machine(holder: str) -> bool:
    """Whether a lock's record was written under this kernel: its locks are seen here."""
    start, mine = _field(holder, "process_start"), _process_start(os.getpid())
    if start and mine and not start.startswith("unknown"):
        return start.partition("/")[0] == mine.partition("/")[0]
    return _field(holder, "on") == socket.gethostname()


def _dead_here(holder: str) -> bool:
    """Whether a process of this machine and host is known to be dead, without any lock."""
    pid, host = _field(holder, "pid"), _field(holder, "on")
    owner = {"host": host, "pid": int(pid) if pid.isdigit() else None}
    owner |= {"process_start": _field(holder, "process_start") or None}
    return is_local(owner) and not is_alive(owner)


def _boottime() -> float:
    """Monotonic seconds, including suspended time where the system counts it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def is_local(owner: dict[str, Any]) -> bool:
    """Whether a process, as from `this_process`, runs or ran on this host since it was booted: only
    of those it is known whether they are alive. Hosts of one name differ in their boot ids."""
    start, mine = owner.get("process_start"), _process_start(os.getpid())
    same = not start or not mine or str(start).partition("/")[0] == mine.partition("/")[0]
    return same and owner.get("host") == socket.gethostname()


def is_held(folder: Path, owner: dict[str, Any]) -> bool:
    """Whether a run's folder is held: by a live process here, by its lease on other machines."""
    if is_local(owner) or not (folder / ".lock").exists():
        return is_alive(owner)
    with contextlib.suppress(OSError):
        stat = (folder / ".lock").stat()
        return stat.st_size > 0 and time.time() - stat.st_mtime < 2 * LEASE_SECONDS
    return True


def utc_now() -> str:
    """The time as ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def this_process() -> dict[str, Any]:
    """This process as host, pid and start time, since pids are reused."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "process_start": _process_start(pid)}


def is_alive(owner: dict[str, Any]) -> bool:
    """Whether a process, as from `this_process`, is alive; True for one on another host."""
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
    start, known = _process_start(pid), owner.get("process_start")
    return start is None or known is None or start == known


def _process_start(pid: int) -> str | None:
    """Start time in clock ticks and the boot it counts from; None without /proc."""
    with contextlib.suppress(OSError, IndexError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{_stat(pid)[19]}"
    return None


def _state(pid: int) -> str | None:
    """The letter that `ps` shows; None without /proc."""
    with contextlib.suppress(OSError, IndexError):
        return _stat(pid)[0]
    return None


def _stat(pid: int) -> list[str]:
    """The fields after the command's name."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
