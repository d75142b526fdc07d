"""What lies at a path: reading a device or a pipe may never end, and a link may lead anywhere."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

from fxformer.errors import UserError

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


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading. OSError, at once, for a pipe, a device, a socket or a folder."""
    return open(path, "rb", opener=_regular)  # noqa: SIM115 - for the caller to close


def read_bytes(path: str | Path) -> bytes:
    """The content of a file, read through `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def read_text(path: str | Path, errors: str = "strict") -> str:
    """The text of a file in UTF-8, read through `open_regular`."""
    return read_bytes(path).decode("utf-8", errors)


def open_own(path: str | Path, mode: str) -> BinaryIO:
    """Open a file for writing, made where it is missing. OSError where it is a symbolic link."""
    file = open(path, mode, buffering=0, opener=_own)  # noqa: SIM115 - for the caller to close
    return cast(BinaryIO, file)


def check_output(path: str | Path, option: str, *, stream: bool = True) -> Path:
    """The path of a file to write, with ~ expanded. UserError, naming the option that gave it,
    where it cannot be written: call this before the work whose result it is to hold.

    stream: whether a pipe or a device will do; a file that is replaced as a whole must be regular
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise UserError(
            f"{option} {path}: is a folder; write a file in it, such as {file / 'NAME'}"
        )
    if file.exists() and not file.is_file():
        if stream and os.access(file, os.W_OK):
            return file
        raise UserError(f"{option} {path}: {no_file(file) or 'may not be written'}")
    if file.exists() and not os.access(file, os.W_OK):
        raise UserError(f"{option} {path}: may not be overwritten (permission denied)")
    check_folder(file.parent, f"{option} {path}", make=False)
    return file


def check_folder(folder: str | Path, what: str, *, make: bool = True) -> None:
    """UserError where no files can be written into `folder`.

    what: what the message begins with; make: whether the caller makes a missing folder
    """
    folder = Path(folder)
    there = folder
    while make and not there.exists() and there != there.parent:
        there = there.parent
    if not there.exists():
        raise UserError(f"{what}: there is no folder {folder}")
    if not there.is_dir():
        raise UserError(f"{what}: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{what}: {there} may not be written to (permission denied)")


def not_own(folder: str | Path) -> str | None:
    """The first entry of a folder that is neither a file nor a folder of its own, with advice; None
    where writing into the folder changes nothing outside it. An absent folder has none."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    for entry in entries:
        if entry.is_symlink():
            return (
                f"{entry.path} is a symbolic link, and what is written there would go "
                "elsewhere; replace it with a copy of what it names, or remove it"
            )
        if not (entry.is_file() or entry.is_dir()):
            return f"{entry.path} is a pipe, a socket or a device; remove it"
    return None


def _regular(path: str, flags: int) -> int:
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def _own(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
