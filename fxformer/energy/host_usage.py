"""What this process has used of its host: processor seconds, resident memory, the CPU's name."""

import os
import platform
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def cpu_seconds() -> float:
    """Processor seconds of this process, all threads, and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def age() -> float:
    """Seconds since this process began; its processor seconds where the system does not tell."""
    start = process()[0]
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if not start or clock is None:
        return cpu_seconds()
    return max(time.clock_gettime(clock) - start / _TICKS, 0.0)


def process(pid: int | str = "self") -> tuple[int, float]:
    """(start in ticks since the boot, processor seconds, those of its ended children included) of a
    process. OSError: it is not there, or not to be seen; of ourselves it is always told."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()  # the name before it may hold anything
        return int(fields[19]), sum(map(int, fields[11:15])) / _TICKS
    except (OSError, ValueError, IndexError) as error:
        if pid != "self":
            raise ProcessLookupError(f"no process {pid} is seen from here") from error
        return 0, cpu_seconds()


def seconds_of(pid: int, start: int) -> float | None:
    """Processor seconds of the process that began at `start`; None: it is not seen from here."""
    if pid == os.getpid():
        return process()[1]
    try:
        began, seconds = process(pid)
    except OSError:
        return None
    return seconds if began == start else None


def lives(pid: int, start: int) -> bool:
    """Whether the process of this number that began at `start` is there."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # another user's
    except OSError:
        return False
    try:
        return process(pid)[0] == start and not _zombie(pid)
    except OSError:  # hidden from us
        return True


def _zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def pid_space() -> str:
    """Names the pid namespace: numbers of processes mean the same only within one."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


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
