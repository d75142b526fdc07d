"""One process per run folder: whoever comes second is told who is there."""

import contextlib
import datetime
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path


class Locked(ValueError):
    """Another process works in this run folder."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process. Raises Locked, naming host, process and time, if it is held.

    The kernel's lock decides and dies with its process, so a killed run leaves nothing to clean
    up. The record beside it is for the message, and for shared file systems on which locks of
    other hosts are not seen: a record of another host is honoured while it is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, record = folder / ".lock", folder / ".owner.json"
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Locked(f"{folder} is in use by {_describe(record)}") from None
        owner = _read(record)
        if owner and owner["host"] != socket.gethostname():
            raise Locked(
                f"{folder} is in use by {_describe(record)}, on another host; if that is no "
                f"longer so, delete {record}"
            )
        _write(record)
        try:
            yield
        finally:
            record.unlink(missing_ok=True)


def _write(record: Path) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": now}
    fresh = record.with_suffix(".new")
    fresh.write_text(json.dumps(owner))
    fresh.rename(record)


def _read(record: Path) -> dict | None:
    try:
        owner = json.loads(record.read_text())
        return owner if {"host", "pid", "since"} <= set(owner) else None
    except (OSError, ValueError, TypeError):
        return None


def _describe(record: Path) -> str:
    owner = _read(record)
    if owner is None:
        return "another process"
    return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
