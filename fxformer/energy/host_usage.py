"""Host usage of processes: processor seconds, resident memory, start time, the CPU's name.

A command's energy counts from the start of its process: `claim_process` and `take_startup`.
"""

import dataclasses
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


def process_age() -> float:
    """Seconds since this process began; its processor seconds where the start is unknown."""
    start = process()[0]
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if not start or clock is None:
        return cpu_seconds()
    return max(time.clock_gettime(clock) - start / _TICKS, 0.0)


def process(pid: int | str = "self") -> tuple[int, float]:
    """(start in clock ticks since boot, processor seconds with those of ended children) of a
    process; (0, seconds) for this one without /proc. OSError: no such process, or not visible."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()  # the name before it may hold anything
        return int(fields[19]), sum(map(int, fields[11:15])) / _TICKS
    except (OSError, ValueError, IndexError) as error:
        if pid != "self":
            raise ProcessLookupError(f"process {pid} does not exist or is not visible") from error
        return 0, cpu_seconds()


def cpu_seconds_of(pid: int, start: int) -> float | None:
    """Processor seconds of the process that began at `start`; None: it is not visible from here."""
    if pid == os.getpid():
        return process()[1]
    try:
        began, seconds = process(pid)
    except OSError:
        return None
    return seconds if began == start else None


def is_alive(pid: int, start: int) -> bool:
    """Whether the process with this pid that began at `start` is alive."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # another user's
    except OSError:
        return False
    try:
        return process(pid)[0] == start and not _is_zombie(pid)
    except OSError:  # not visible
        return True


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def pid_namespace() -> str:
    """Identifies the pid namespace: pids can be compared only within one."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def resident_bytes() -> int:
    """Bytes of resident memory of this process (its peak, where the present size is unknown)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024  # bytes there, KiB elsewhere


def cpu_name() -> str:
    """The processor's model name without trademarks and clock rate, "" when it is unknown."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return strip_marks(line.split(":", 1)[1])
    except OSError:
        return strip_marks(platform.processor())
    return ""


def strip_marks(name: str) -> str:
    """Remove trademarks and clock rate: "Intel(R) Xeon(R) CPU E5 @ 2 GHz" -> "Intel Xeon E5"."""
    for mark in ("(R)", "(TM)", "(r)", "(tm)", " CPU"):
        name = name.replace(mark, "")
    return " ".join(name.split("@")[0].split())


@dataclasses.dataclass(frozen=True)
class Startup:
    """What a process used before its meter was opened.

    cpu_seconds: processor seconds from which the meter counts; seconds: wall time since then
    """

    cpu_seconds: float
    seconds: float


_claimed: list[bool] = []  # one item: the process runs one command, and no meter has counted it yet


def claim_process() -> None:
    """Called by the command line's entry point: this process was started for one command, whose
    energy counts from the start of the process. Elsewhere (notebooks, tests) meters count from
    their opening."""
    _claimed[:] = [True]


def take_startup() -> Startup:
    """The time before now that a meter has to count. The first meter of the process takes it."""
    if not _claimed:
        return Startup(cpu_seconds(), 0.0)
    _claimed.clear()
    return Startup(0.0, process_age())
