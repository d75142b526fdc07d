"""What a process used before its meter was opened: a run is counted from its process's start."""

import dataclasses

from fxformer.energy import host_usage


@dataclasses.dataclass(frozen=True)
class Startup:
    """cpu_seconds: processor seconds from which a meter counts; seconds: wall time since then."""

    cpu_seconds: float
    seconds: float


_claimed: list[bool] = []  # one item: the process is a command's, and no meter has counted it yet


def claim_process() -> None:
    """Said by the entry point: this process was started for one command, which is to be charged
    with all of it. In other processes (notebooks, tests) meters count from their opening."""
    _claimed[:] = [True]


def take() -> Startup:
    """What is to be counted of the time before now. The first meter of the process takes it."""
    if not _claimed:
        return Startup(host_usage.cpu_seconds(), 0.0)
    _claimed.clear()
    return Startup(0.0, host_usage.age())
