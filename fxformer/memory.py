"""Memory: what a process can still have, compared with what is about to be allocated."""

import os
from pathlib import Path

from fxformer.errors import UserError

CGROUP = Path("/sys/fs/cgroup")
UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def free() -> int | None:
    """Bytes of main memory that this process can still have; None where the system does not say.

    The least of what the machine has available and what the limits of its control group (v2 or v1)
    leave.
    """
    found = [_available(), _left("memory.max", "memory.current")]
    found.append(_left("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    return min((one for one in found if one is not None), default=None)


def require(
    size: int, key: str, what: str, there: int | None = None, advice: str = "write a smaller value"
) -> None:
    """Raise UserError where `size` bytes for `what` are more than there are.

    key: the key that asks for it; there: bytes; None: free(); advice: what to write instead
    """
    there = free() if there is None else there
    if there is not None and size > there:
        raise UserError(
            f"{key}: {what} needs at least {shown(size)} of memory, and {shown(there)} are free; "
            f"{advice}"
        )


def shown(size: float) -> str:
    """Bytes in the largest unit that keeps at least 1 before the point: `1.5 GB`."""
    unit = 0
    while abs(size) >= 1000 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {UNITS[unit]}"


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return _physical()
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(known["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in known else _physical()


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _left(limit: str, used: str) -> int | None:
    """What a control group's limit leaves; None where there is none."""
    try:
        most, now = ((CGROUP / name).read_text(encoding="utf-8").strip() for name in (limit, used))
        return max(int(most) - int(now), 0)
    except (OSError, ValueError):  # no such file; "max"
        return None
