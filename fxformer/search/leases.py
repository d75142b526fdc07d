"""Who may work on a trial: one worker at a time, and another when it is dead.

Taking up trial 3 for the n-th time is making the claim (3, n), which can be made only once; it
supersedes (3, n - 1). So nothing is ever unlocked, and no two can take over from the same dead.
Here claims are files; `remote` keeps them in a database for machines that share no disk.
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
class Holder:
    """The latest claim of a slot. renewed: changes whenever its worker shows that it lives."""

    slot: int
    attempt: int
    worker: str
    owner: dict[str, Any]
    renewed: float


class Unreachable(Exception):
    """The database of the claims does not answer. Nothing is lost: results lie in the files of
    this machine."""


class Claims(Protocol):
    """What a worker asks of the place where claims are made.

    study: the study, grown to what other machines have asked for
    """

    study: Study

    def held(self) -> dict[int, Holder]:
        """The latest claim of every slot that has one."""

    def take(self, slot: int, attempt: int) -> bool:
        """Make a claim; False where it exists."""

    def drop(self, slot: int, attempt: int) -> None:
        """Let it be known that nothing will come of a claim of ours: its trial had ended."""

    def renew(self, slot: int, attempt: int) -> bool:
        """Show that the claim's worker lives; False where it is superseded."""

    def dead(self, holder: Holder) -> bool:
        """Whether its worker is gone, or has been silent for the lease."""

    def tell(self, trials: Sequence[Trial]) -> None:
        """Let other machines know of these trials of ours."""

    def hear(self) -> None:
        """Write the files of trials that other machines have told of."""


def worker_name() -> str:
    """This process among all workers of a study."""
    return f"{socket.gethostname()}-{os.getpid()}"


class Leases:
    """Silence by this process's own clock: those of other machines may be wrong."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._seen: dict[tuple[int, int], tuple[float, float]] = {}

    def dead(self, holder: Holder) -> bool:
        """On this host the process decides, elsewhere a lease without a renewal."""
        if is_local(holder.owner):
            return not is_alive(holder.owner)
        key, now = (holder.slot, holder.attempt), time.monotonic()
        renewed, since = self._seen.get(key, (None, now))
        if renewed != holder.renewed:
            since = now
        self._seen[key] = (holder.renewed, since)
        return now - since > self.seconds


class FileClaims:
    """Claims as files <slot>.<attempt>, made by linking, which the file system does once only.

    For the processes of one machine, and for machines that share the folder of the runs.
    """

    def __init__(self, study: Study, lease_seconds: float):
        self.study, self.folder = study, study.folder / "claims"
        self.folder.mkdir(exist_ok=True)
        self.leases = Leases(lease_seconds)
        self._read: dict[Path, dict[str, Any]] = {}

    def held(self) -> dict[int, Holder]:
        latest: dict[int, tuple[int, Path]] = {}
        for path in self.folder.glob("[0-9]*.[0-9]*"):
            slot, _, attempt = path.name.partition(".")
            latest[int(slot)] = max(latest.get(int(slot), (0, path)), (int(attempt), path))
        holders = {}
        for slot, (attempt, path) in latest.items():
            if path not in self._read:
                self._read[path] = jsonl.load(path)
            body, renewed = self._read[path], path.stat().st_mtime
            holders[slot] = Holder(slot, attempt, body["worker"], body["owner"], renewed)
        return holders

    def take(self, slot: int, attempt: int) -> bool:
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

    def drop(self, slot: int, attempt: int) -> None:
        """The trial's file says it."""

    def renew(self, slot: int, attempt: int) -> bool:
        with contextlib.suppress(OSError):  # a disk that hesitates: the next time will do
            os.utime(self._path(slot, attempt))
        return current(self.folder, slot, attempt)

    def dead(self, holder: Holder) -> bool:
        return self.leases.dead(holder)

    def tell(self, trials: Sequence[Trial]) -> None:
        """The files have said it."""

    def hear(self) -> None:
        """The files say it."""

    def _path(self, slot: int, attempt: int) -> Path:
        return claim_path(self.folder, slot, attempt)


def claim_path(folder: Path, slot: int, attempt: int) -> Path:
    """The file of a claim in the folder of claims."""
    return folder / f"{slot:05d}.{attempt}"


def current(folder: Path, slot: int, attempt: int) -> bool:
    """Whether nobody has superseded this claim: what a trial's process asks before it writes."""
    return not claim_path(folder, slot, attempt + 1).exists()
