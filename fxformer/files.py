"""What lies at a path, told before it is opened: reading a device or a pipe may never end."""

import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def no_file(path: str | Path) -> str | None:
    """What is at `path` where that is something which is not read like a file, with advice; None
    for files, folders and what is not there. OSError where the system refuses to say."""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return None
    kind = next((name for holds, name in _KINDS if holds(mode)), None)
    return None if kind is None else f"is {kind}, not a file; write its content to a file first"
