"""Hashes of files: of all contents, or of samples where reading everything would take long."""

import bisect
import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

from fxformer.data.remote_files import RemoteFile

BLOCK = 1 << 20  # bytes read at a time
READ_WHOLE = 64 << 20  # bytes of files whose fingerprint is made of all contents
SAMPLES, SAMPLE = 1024, 1 << 16  # blocks, and their bytes, in the fingerprint of larger ones


def digest(paths: Sequence[Path]) -> str:
    """Hex digest of the contents of files, in order; their names do not matter."""
    total = hashlib.blake2b(digest_size=16)
    for path in paths:
        total.update(f"{path.stat().st_size}:".encode())
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                total.update(block)
    return total.hexdigest()


def fingerprint(paths: Sequence[Path]) -> str:
    """Key that changes with the contents of files, in order, and is cheap to compute.

    Up to `READ_WHOLE` bytes in all the contents are read, and names and times do not matter. Of
    more, the size and the time of modification of each file are taken, and `SAMPLES` blocks at
    places that are drawn from all bytes: a change that leaves the size and the time of its file as
    they were is noticed only if it meets one of these. Files of a store are not read: their names,
    sizes and versions are taken.
    """
    if remote := [path for path in paths if isinstance(path, RemoteFile)]:
        local = [path for path in paths if not isinstance(path, RemoteFile)]
        versions = "\n".join(f"{file.url} {file.size} {file.version}" for file in remote)
        return f"{fingerprint(local)} {hashlib.blake2b(versions.encode()).hexdigest()[:32]}"
    stats = [path.stat() for path in paths]
    ends = list(itertools.accumulate(one.st_size for one in stats))
    if not ends or ends[-1] <= READ_WHOLE:
        return digest(paths)
    total = hashlib.blake2b(digest_size=16)
    for one in stats:
        total.update(f"{one.st_size} {one.st_mtime_ns} ".encode())
    for n in range(SAMPLES):
        drawn = hashlib.blake2b(f"{total.hexdigest()} {n}".encode(), digest_size=8).digest()
        place = int.from_bytes(drawn, "big") % ends[-1]
        which = bisect.bisect_right(ends, place)
        with paths[which].open("rb") as file:
            file.seek(place - (ends[which] - stats[which].st_size))
            total.update(file.read(SAMPLE))
    return f"sampled {total.hexdigest()}"
