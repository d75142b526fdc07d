"""Configuration of training by several processes: how they find each other, and how they end."""

import dataclasses
import os
import socket
from typing import Annotated

from fxformer.distributed.group import ONE_PROCESS, ProcessGroup
from fxformer.distributed.monitor import PeerMonitor
from fxformer.errors import UserError
from fxformer.types import Count, Natural, Positive, Range

COORDINATOR, PROCESSES, PROCESS = (
    f"FXFORMER_{name}" for name in ("COORDINATOR", "PROCESSES", "PROCESS")
)
HOW = (
    "write distributed=auto inside SLURM, Open MPI or Kubernetes, or all of "
    "distributed.coordinator=HOST:PORT distributed.processes=N distributed.process=0 (to N - 1)"
)
Seconds = Annotated[float, Range(1)]


@dataclasses.dataclass(frozen=True)
class Joined:
    """A group of processes, and what watches it; None: there is one process."""

    group: ProcessGroup = ONE_PROCESS
    monitor: PeerMonitor | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """How this process finds the others that train the same model with it.

    detect: ask the environment: `fxformer launch`, then what JAX knows (SLURM, Open MPI,
        Kubernetes, Cloud TPU)
    coordinator: HOST:PORT of process 0, where it listens
    processes: number of processes
    process: number of this one, from 0
    heartbeat_seconds: without a sign of life after which a process counts as lost: the others end
        with exit code 75
    stall_minutes: without a step after which the run counts as stalled: all write their stacks into
        its folder and end with 75; None: never
    connect_seconds: that the processes wait for each other at the start
    """

    detect: bool = False
    coordinator: str | None = None
    processes: Count | None = None
    process: Natural | None = None
    heartbeat_seconds: Seconds = 30.0
    stall_minutes: Positive | None = 30.0
    connect_seconds: Seconds = 300.0

    def __post_init__(self) -> None:
        given = [self.coordinator, self.processes, self.process]
        if not self.detect and any(one is not None for one in given) and None in given:
            raise UserError(f"distributed: coordinator, processes and process go together; {HOW}")
        if self.process is not None and self.processes is not None:
            if self.process >= self.processes:
                raise UserError(
                    f"distributed.process={self.process}: processes are numbered from 0 to "
                    f"{self.processes - 1} (distributed.processes={self.processes})"
                )

    def join(self) -> Joined:
        """Connect to the other processes. Call it before any device is used.

        Of one process, nothing is done. Raises UserError where the others do not come.
        """
        coordinator, processes, process = self._place()
        if processes is None or processes == 1:
            return Joined()
        import jax
        from jax._src import distributed

        if jax.config.jax_platforms in (None, "", "cpu"):  # type: ignore[reportAttributeAccessIssue]
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            jax.distributed.initialize(
                coordinator,
                processes,
                process,
                initialization_timeout=int(self.connect_seconds),
                heartbeat_timeout_seconds=int(1.5 * self.heartbeat_seconds) + 5,
                cluster_detection_method=None if self.detect else "deactivate",
            )
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"distributed: process {process} of {processes} did not reach the others at "
                f"{coordinator}: {str(error).splitlines()[0]}; is the address right, and do all "
                "processes run?"
            ) from error
        state = distributed.global_state
        group = ProcessGroup(state.process_id, state.num_processes, state.client)
        stall = None if self.stall_minutes is None else 60 * self.stall_minutes
        monitor = PeerMonitor(group, bound=self.heartbeat_seconds, stall=stall)
        monitor.start()
        return Joined(group, monitor)

    def _place(self) -> tuple[str | None, int | None, int | None]:
        """Coordinator, number of processes, number of this one; None: as JAX detects it."""
        if not self.detect:
            return self.coordinator, self.processes, self.process
        if PROCESSES in os.environ:
            found = os.environ
            try:
                return found[COORDINATOR], int(found[PROCESSES]), int(found[PROCESS])
            except (KeyError, ValueError) as error:
                raise UserError(
                    f"distributed=auto: {COORDINATOR}, {PROCESSES} and {PROCESS} of the "
                    "environment are an address and two numbers, which fxformer launch sets "
                    f"({error}); unset them, or {HOW}"
                ) from None
        from jax._src.clusters import ClusterEnv

        kinds = ClusterEnv._cluster_types
        there = next((c for c in kinds if not c.opt_in_only_method and c.is_env_present()), None)
        if there is None:
            return self.coordinator, self.processes, self.process
        processes = self.processes or there.get_process_count()
        return self.coordinator, processes, self.process


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as held:
        held.bind(("", 0))
        return held.getsockname()[1]
