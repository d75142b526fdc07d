"""What this process has used of its host: processor seconds, resident memory, the CPU's name."""

import os
import platform
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def cpu_seconds() -> float:
    """Processor seconds of this process, all threads, and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def resident_bytes() -> int:
    """Bytes of memory this process holds (its peak, where the system tells no more)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024  # bytes there, KiB elsewhere


def cpu_name() -> str:
    """The processor's model name without marks and clock, "" when nothing tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return clean(line.split(":", 1)[1])
    except OSError:
        return clean(platform.processor())
    return ""


def clean(name: str) -> str:
    """Strip what makers add to a name: "Intel(R) Xeon(R) CPU E5 @ 2 GHz" -> "Intel Xeon E5"."""
    for mark in ("(R)", "(TM)", "(r)", "(tm)", " CPU"):
        name = name.replace(mark, "")
    return " ".join(name.split("@")[0].split())
