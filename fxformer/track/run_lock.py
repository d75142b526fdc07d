"""Which process owns a run's folder: a file lock, a lease that is renewed, a readable record."""

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

LEASE = 60.0  # seconds without a renewal after which an owner on another machine counts as dead
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # a file system without locks


class RunBusyError(UserError):
    """The folder belongs to a process that is alive."""


class RunLinkedError(UserError):
    """Something in the folder leads out of it: writing to the run would change other files."""


class RunGoneError(UserError):
    """The folder was deleted while its run was going on."""


class RunLost(SystemExit):
    """Another process has taken the folder over: this one must not write to it any more."""

    def __init__(self, words: str):
        super().__init__(75)
        self.words = words

    def __str__(self) -> str:
        return self.words


class Lock:
    """An exclusive lock on `folder`/.lock, or RunBusyError, or RunLinkedError.

    On one machine the kernel's lock decides. It is gone with its process, however that ends, so a
    killed run can be taken over at once. On shared file systems the locks of other machines may
    not be seen; there the owner's lease decides: the time of the file, renewed every quarter of
    `lease` seconds. An owner on another machine (that of another boot id, whatever its host name)
    is waited for until it has not renewed for `lease` seconds, and refused as soon as it does.
    An owner that was taken over, having been suspended for so long, learns it from `verify`.
    """

    def __init__(self, folder: Path, *, lease: float = LEASE):
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
        # The thread must not keep alive, and thereby locked, what nobody holds any more.
        arguments = (weakref.ref(self), self._ended, lease / 4)
        threading.Thread(target=_renewing, args=arguments, daemon=True, name="lease").start()

    def release(self) -> None:
        """Let go; twice is harmless."""
        self._ended.set()
        if not self._file.closed:
            if not self._lost:
                self._write("")
            self._file.close()

    def renew(self) -> None:
        """Show that this process lives, and see whether the folder is still its own."""
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

        Cheap unless the lease is overdue, as after a suspension. now: look in any case
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
            if self._age(claim.stat().st_mtime) > self.lease:  # of one that died at it
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
        who = f"pid {os.getpid()} on {socket.gethostname()} since {now()}"
        born = _born(os.getpid()) or "unknown/0"
        return f"{who} born {born} token {self._token}"

    def _read(self) -> str:
        with contextlib.suppress(OSError):  # by its name: another may have put a file there
            return read_text(self._path, "replace").strip()
        return ""

    def _write(self, holder: str) -> None:
        with contextlib.suppress(OSError):  # a full disk takes nothing from the lock
            self._file.truncate(0)
            self._file.write(holder.encode())

    def _refuse(self, holder: str, cause: OSError | None = None) -> NoReturn:
        self._file.close()
        raise RunBusyError(f"{self.folder} is in use by {holder}") from cause


def _renewing(held: "weakref.ref[Lock]", ended: threading.Event, seconds: float) -> None:
    while not ended.wait(seconds):
        lock = held()
        if lock is None:
            return
        lock.renew()
        del lock


def _field(holder: str, name: str) -> str:
    """A word of a lock's record: `pid`, `on`, `since`, `born`, `token`; "" where it has none."""
    words = holder.split()
    return dict(zip(words[::2], words[1::2], strict=False)).get(name, "")


def _shown(holder: str) -> str:
    return holder.partition(" born ")[0]


def _this_machine(holder: str) -> bool:
    """Whether a lock's record was written under this kernel: its locks are seen here."""
    born, mine = _field(holder, "born"), _born(os.getpid())
    if born and mine and not born.startswith("unknown"):
        return born.partition("/")[0] == mine.partition("/")[0]
    return _field(holder, "on") == socket.gethostname()


def _dead_here(holder: str) -> bool:
    """Whether a process of this machine and host is known to be dead, without any lock."""
    pid, host = _field(holder, "pid"), _field(holder, "on")
    owner = {"host": host, "pid": int(pid) if pid.isdigit() else None}
    born = _field(holder, "born")
    owner |= {"born": born or None}
    return here(owner) and not alive(owner)


def _boottime() -> float:
    """Seconds, those of a suspended machine included where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def here(owner: dict[str, Any]) -> bool:
    """Whether the process of `record()` is, or was, one of this host since it was booted: only of
    those can be told whether they live. Machines of one name are told apart by their boot ids."""
    born, mine = owner.get("born"), _born(os.getpid())
    same = not born or not mine or str(born).partition("/")[0] == mine.partition("/")[0]
    return same and owner.get("host") == socket.gethostname()


def holds(folder: Path, owner: dict[str, Any]) -> bool:
    """Whether the owner of a run's folder lives: its process here, elsewhere its lease."""
    if here(owner) or not (folder / ".lock").exists():
        return alive(owner)
    with contextlib.suppress(OSError):
        stat = (folder / ".lock").stat()
        return stat.st_size > 0 and time.time() - stat.st_mtime < 2 * LEASE
    return True


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
