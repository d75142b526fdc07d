"""Environment of the memory allocator (glibc.malloc tunables), set where the process starts.

XLA:CPU frees its temporary buffers after each step and allocates them again at the next. With the
defaults of glibc that memory goes back to the system and is mapped anew: tens of thousands of page
faults in a step of BERT base. The tunables keep it: large blocks come from the heap
(mmap_threshold) in one arena (arena_max), the heap is never trimmed (trim_threshold), and it has
pages of 2 MB (hugetlb).
glibc reads them when a process starts, so ours executes itself once more.
"""

import os
import sys

TUNABLES = {
    "glibc.malloc.hugetlb": 1,  # madvise(MADV_HUGEPAGE)
    "glibc.malloc.mmap_threshold": 2**32,  # bytes
    "glibc.malloc.trim_threshold": 2**34,  # bytes
    "glibc.malloc.arena_max": 1,
}


def tuned(environ: dict[str, str]) -> dict[str, str] | None:
    """The environment to start again with, or None where that would change nothing.

    A tunable that the user has set keeps its value. None on anything but Linux with glibc 2.35 or
    later, and with FXFORMER_NO_TUNING=1.
    """
    if not sys.platform.startswith("linux") or environ.get("FXFORMER_NO_TUNING", "0") != "0":
        return None
    given = [one for one in environ.get("GLIBC_TUNABLES", "").split(":") if one]
    names = {one.partition("=")[0] for one in given}
    more = [f"{name}={value}" for name, value in TUNABLES.items() if name not in names]
    if not more or _glibc() < (2, 35):
        return None
    return {**environ, "GLIBC_TUNABLES": ":".join([*given, *more])}


def _glibc() -> tuple[int, ...]:
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        return tuple(int(part) for part in version.split(".")) if name == "glibc" else (0,)
    except (AttributeError, ValueError, OSError):  # musl has no such name
        return (0,)


def retune(argv: list[str]) -> None:
    """Replace this process by the same one with the tunables set, if that changes them."""
    environ = tuned(dict(os.environ))
    if environ is not None:
        sys.stdout.flush()
        command = [sys.executable, *_flags(), "-m", "fxformer", *argv]
        os.execve(sys.executable, command, environ)


def _flags() -> list[str]:
    """The interpreter's own flags (-X, -W, -u …) of the process we replace."""
    given = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]
    return given[:-1] if given and given[-1] == "-m" else given
