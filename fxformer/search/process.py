"""A trial as a process of its own: the same command as by hand, on its own cores and devices."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ATTEMPT = "=== attempt "  # opens what an attempt prints in the log of its trial
MEMORY = 0.92  # of an accelerator, for all processes that share it; JAX takes 0.75 by itself


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one of the trials that run at once has its room. cores, devices: None: all there are.

    sharing: how many trials share its devices
    """

    cores: tuple[int, ...] | None = None
    devices: tuple[str, ...] | None = None
    sharing: int = 1

    def environment(self) -> dict[str, str]:
        """What tells a process of its place."""
        found = {}
        if self.devices is not None:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(self.devices)
        if self.sharing > 1:
            found["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{MEMORY / self.sharing:.3f}"
        if self.cores is not None:
            found |= dict.fromkeys(
                ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(len(self.cores))
            )
        return found


def places(workers: int, devices: Sequence[int] | None = None) -> list[Place]:
    """Room for so many trials at once; one alone has everything."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    there = accelerators() if devices is None else [str(one) for one in devices]
    if workers == 1:
        return [Place(devices=None if devices is None else tuple(there))]
    sharing = -(-workers // len(there)) if there else 1
    return [
        Place(
            tuple(_share(cores, n, workers)) or None,
            tuple(_share(there, n, workers)) or None,
            sharing,
        )
        for n in range(workers)
    ]


def _share(things: Sequence, n: int, of: int) -> Sequence:
    """The n-th of `of` equal parts; where there are too few things, one that others have too."""
    if len(things) < of:
        return [things[n % len(things)]] if things else []
    return things[n * len(things) // of : (n + 1) * len(things) // of]


def accelerators() -> list[str]:
    """The CUDA devices this process may use, found without starting CUDA."""
    if os.environ.get("JAX_PLATFORMS", "").lower() == "cpu":
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [one.strip() for one in visible.split(",") if one.strip() not in ("", "-1")]
    return [str(n) for n in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


class Process:
    """A started process. Its output goes to the end of `log`.

    It is the head of a session, so that Ctrl-C at the terminal reaches it through us alone.
    """

    def __init__(
        self, argv: Sequence[str], log: Path, place: Place, environ: Mapping[str, str], head: str
    ):
        """head: a line that opens its output"""
        env = {**os.environ, **place.environment(), **environ}
        with log.open("ab", buffering=0) as out:
            out.write(f"{head}\n".encode())
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                start_new_session=True,
            )  # fmt: skip
        if place.cores is not None:
            with contextlib.suppress(OSError):  # its threads, all still to come, will inherit it
                os.sched_setaffinity(self._process.pid, place.cores)

    def poll(self) -> int | None:
        """The exit code; None while it runs; minus the number of a signal that killed it."""
        return self._process.poll()

    def interrupt(self) -> None:
        """Ask it to save and leave."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it started, at once."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)


@dataclasses.dataclass(frozen=True)
class Commands:
    """How a trial's process is started.

    flags: words that stand before all overrides (--config-dir …)
    overrides: those of every trial; plain: those of them that a resumed run may be given
    """

    flags: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()

    def fresh(self, overrides: Sequence[str]) -> list[str]:
        """A trial from its beginning."""
        return [*_begin(), *self.flags, *self.overrides, *overrides]

    def resume(self, run: Path) -> list[str]:
        """A trial that goes on: its run's own config is the whole config."""
        place = str(run.resolve()).replace("\\", "\\\\").replace("'", "\\'")
        return [*_begin(), *self.flags, f"resume='{place}'", *self.plain]


def _begin() -> list[str]:
    return [sys.executable, "-m", "fxformer", "train"]
