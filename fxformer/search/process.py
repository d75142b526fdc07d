"""Processes of trials: the command of `fxformer train`, with cores and devices assigned."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ATTEMPT = "=== attempt "  # begins the header of an attempt in the log of its trial
MEMORY = 0.92  # fraction of an accelerator for all its processes; the default of JAX is 0.75


@dataclasses.dataclass(frozen=True)
class Resources:
    """Cores and devices of one of the trials that run at once.

    cores, devices: ids; None: all
    sharing: number of trials that share the devices
    """

    cores: tuple[int, ...] | None = None
    devices: tuple[str, ...] | None = None
    sharing: int = 1

    def environment(self) -> dict[str, str]:
        """Environment variables that restrict a process to these resources."""
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


def split_resources(workers: int, devices: Sequence[int] | None = None) -> list[Resources]:
    """The resources of each of `workers` trials at once; a single one gets all.

    devices: accelerators to distribute; None: all visible ones
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    found = accelerators() if devices is None else [str(one) for one in devices]
    if workers == 1:
        return [Resources(devices=None if devices is None else tuple(found))]
    sharing = -(-workers // len(found)) if found else 1
    return [
        Resources(
            tuple(_share(cores, n, workers)) or None,
            tuple(_share(found, n, workers)) or None,
            sharing,
        )
        for n in range(workers)
    ]


def _share(things: Sequence, n: int, of: int) -> Sequence:
    """The n-th of `of` equal parts; with too few items, one item that is shared."""
    if len(things) < of:
        return [things[n % len(things)]] if things else []
    return things[n * len(things) // of : (n + 1) * len(things) // of]


def accelerators() -> list[str]:
    """The visible CUDA devices, found without initialising CUDA."""
    if os.environ.get("JAX_PLATFORMS", "").lower() == "cpu":
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [one.strip() for one in visible.split(",") if one.strip() not in ("", "-1")]
    return [str(n) for n in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


class Process:
    """A started process of a trial.

    It leads a session of its own, so that Ctrl-C at the terminal is not delivered to it directly.
    """

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        place: Resources,
        environ: Mapping[str, str],
        header: str,
    ):
        """log: file to which its output is appended; header: line written before it"""
        env = {**os.environ, **place.environment(), **environ}
        with log.open("ab", buffering=0) as out:
            out.write(f"{header}\n".encode())
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                start_new_session=True,
            )  # fmt: skip
        if place.cores is not None:
            with contextlib.suppress(OSError):  # inherited by all its threads
                os.sched_setaffinity(self._process.pid, place.cores)

    def poll(self) -> int | None:
        """The exit code; None while it runs; minus the number of the signal that killed it."""
        return self._process.poll()

    def interrupt(self) -> None:
        """Send SIGTERM: the trial saves and exits."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and its child processes."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)


@dataclasses.dataclass(frozen=True)
class TrialCommands:
    """Command lines of the processes of trials.

    flags: options before the overrides (--config-dir …)
    overrides: of every trial; resumable: those of them that are allowed when a run is resumed
    """

    flags: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    resumable: tuple[str, ...] = ()

    def fresh(self, overrides: Sequence[str]) -> list[str]:
        """The command of a new trial."""
        return [*_train_command(), *self.flags, *self.overrides, *overrides]

    def resume(self, run: Path) -> list[str]:
        """The command that resumes a trial from the config of its run."""
        return [*_train_command(), *self.flags, *self.resuming(run)]

    def resuming(self, run: Path) -> list[str]:
        """The overrides of that command: a resumed run keeps all others."""
        path = str(run.resolve()).replace("\\", "\\\\").replace("'", "\\'")
        return [f"resume='{path}'", *self.resumable]


def _train_command() -> list[str]:
    return [sys.executable, "-m", "fxformer", "train"]
