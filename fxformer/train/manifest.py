"""host.json of a checkpoint: the host's part of it and checksums, its own included."""

import json
import os
import zlib
from pathlib import Path

from fxformer import jsonl
from fxformer.train.tensors import Damaged

NAME = "host.json"


def read(folder: Path) -> dict:
    """What `write` wrote into `folder`. Raises Damaged for anything else."""
    try:
        body = jsonl.load(folder / NAME)
        found = body.pop("sum")
        if found != _sum(body):
            raise ValueError("its checksum differs")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{folder / NAME}: {error}") from None
    return body


def write(folder: Path, body: dict) -> None:
    """Write and sync the file, and sync the folder."""
    body = json.loads(json.dumps(body))  # as it will be read: keys are strings
    with (folder / NAME).open("w") as file:
        json.dump(body | {"sum": _sum(body)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    sync(folder)


def sync(folder: Path) -> None:
    """Wait until the names in `folder` are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sum(body: dict) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())
