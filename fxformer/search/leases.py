"""Leases of trials: one worker at a time runs a trial; another takes over when it has died.

Attempt n at trial 3 requires the lease (3, n), which can be acquired only once; it supersedes
(3, n - 1). Leases are never deleted, so that two workers cannot take over the same trial. Here
leases are files; `remote` keeps them in a database for machines without a shared disk.
"""

import contextlib
import dataclasses
import json
import os
import socket
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from fxformer import jsonl
from fxformer.search.study import Study, Trial
from fxformer.track.run_lock import is_alive, is_local, this_process


@dataclasses.dataclass(frozen=True)
class Lease:
    """The latest lease of a slot. renewed: changes with each heartbeat of its worker."""

    slot: int
    attempt: int
    worker: str
    owner: dict[str, Any]
    renewed: float


class Unreachable(Exception):
    """The database of the leases does not answer. Results are kept in the files of this machine."""


class LeaseStore(Protocol):
    """Interface to the leases of a study, and to the trials of other machines.

    study: the study, with as many slots as any machine has requested
    """

    study: Study

    def latest(self) -> dict[int, Lease]:
        """{slot: its latest lease}."""
        ...

    def acquire(self, slot: int, attempt: int) -> bool:
        """Acquire a lease; False if it exists."""
        ...

    def release(self, slot: int, attempt: int) -> None:
        """Give up a lease of this process whose trial had already ended."""
        ...

    def renew(self, slot: int, attempt: int) -> bool:
        """Send a heartbeat for a lease; False if it is superseded."""
        ...

    def expired(self, lease: Lease) -> bool:
        """Whether the worker of a lease is dead, or has not renewed it in time."""
        ...

    def push(self, trials: Sequence[Trial]) -> None:
        """Publish trials of this process to other machines."""
        ...

    def pull(self) -> None:
        """Write the files of trials that other machines have published."""
        ...


def worker_name() -> str:
    """Name of this process among the workers of a study: host and pid."""
    return f"{socket.gethostname()}-{os.getpid()}"


class LeaseClock:
    """Expiry of leases by the monotonic clock of this process: clocks of machines may differ.

    seconds: without a renewal, after which a lease has expired
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._seen: dict[tuple[int, int], tuple[float, float]] = {}

    def expired(self, lease: Lease) -> bool:
        """On this host: whether the process is dead; elsewhere: whether it missed renewals."""
        if is_local(lease.owner):
            return not is_alive(lease.owner)
        key, now = (lease.slot, lease.attempt), time.monotonic()
        renewed, since = self._seen.get(key, (None, now))
        if renewed != lease.renewed:
            since = now
        self._seen[key] = (lease.renewed, since)
        return now - since > self.seconds


class FileLeases:
    """Leases as files leases/<slot>.<attempt>, acquired by hard links, which are atomic.

    For the processes of one machine, and for machines that share the folder of the runs.
    """

    def __init__(self, study: Study, lease_seconds: float):
        self.study, self.folder = study, study.folder / "leases"
        self.folder.mkdir(exist_ok=True)
        self._clock = LeaseClock(lease_seconds)
        self._read: dict[Path, dict[str, Any]] = {}

    def latest(self) -> dict[int, Lease]:
        latest: dict[int, tuple[int, Path]] = {}
        for path in self.folder.glob("[0-9]*.[0-9]*"):
            slot, _, attempt = path.name.partition(".")
            latest[int(slot)] = max(latest.get(int(slot), (0, path)), (int(attempt), path))
        leases = {}
        for slot, (attempt, path) in latest.items():
            if path not in self._read:
                self._read[path] = jsonl.load(path)
            body, renewed = self._read[path], path.stat().st_mtime
            leases[slot] = Lease(slot, attempt, body["worker"], body["owner"], renewed)
        return leases

    def acquire(self, slot: int, attempt: int) -> bool:
        draft = self.folder / f".{uuid.uuid4().hex}.tmp"
        body = {"worker": worker_name(), "owner": this_process()}
        draft.write_text(json.dumps(body), encoding="utf-8")
        try:
            os.link(draft, self._path(slot, attempt))
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def release(self, slot: int, attempt: int) -> None:
        """Nothing to do: the file of the trial records its end."""

    def renew(self, slot: int, attempt: int) -> bool:
        with contextlib.suppress(OSError):  # retried by the next renewal
            os.utime(self._path(slot, attempt))
        return is_current(self.folder, slot, attempt)

    def expired(self, lease: Lease) -> bool:
        return self._clock.expired(lease)

    def push(self, trials: Sequence[Trial]) -> None:
        """Nothing to do: the files are shared."""

    def pull(self) -> None:
        """Nothing to do: the files are shared."""

    def _path(self, slot: int, attempt: int) -> Path:
        return lease_path(self.folder, slot, attempt)


def lease_path(folder: Path, slot: int, attempt: int) -> Path:
    """The file of a lease in the folder of leases."""
    return folder / f"{slot:05d}.{attempt}"


def is_current(folder: Path, slot: int, attempt: int) -> bool:
    """Whether a lease is not superseded; checked by the process of a trial before it writes."""
    return not lease_path(folder, slot, attempt + 1).exists()
