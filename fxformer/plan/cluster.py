"""Forecast of a training step on N devices of a cluster, from shapes and sizes on one.

Seconds of a step = FLOPs / (N · MFU · peak) + what communication takes that is not hidden behind
them. A ring's bandwidth is that of its slowest connection. Latency, uneven rows and failures are
left out, so it is a lower bound.
"""

import dataclasses
import math
from typing import Annotated, Any, cast

from jax.sharding import AbstractMesh, Mesh
from omegaconf import DictConfig, open_dict

from fxformer.energy.accelerators import accelerators, find_accelerator
from fxformer.errors import UserError
from fxformer.plan.communication import Traffic, step_traffic
from fxformer.track import formatting
from fxformer.train.memory_check import bytes_per_device
from fxformer.train.mesh import AXES, MeshConfig, check_batch_size, with_shardings
from fxformer.train.setup import Setup
from fxformer.train.tensor_parallel import check_tensor
from fxformer.types import Count, Positive, Range

GIGA = 1e9


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Assumptions about the devices of a forecast; they are printed with it.

    devices: number of them, over which `mesh` is laid; null: no such forecast
    accelerator: name in the table of accelerators (energy/accelerators.csv)
    per_machine: devices of a machine
    link, network: gigabytes per second that a device sends within its machine, and to others
    mfu: share of the peak FLOP/s that matrix products reach
    overlap: share of the computing time behind which sums and gathers over `data` and `fsdp` are
        hidden; those over `tensor` never are, since the next product waits for them
    """

    devices: Count | None = None
    accelerator: str = "H200"
    per_machine: Count = 8
    link: Positive = 450.0
    network: Positive = 50.0
    mfu: Annotated[float, Range(0, 1, open_low=True)] = 0.4
    overlap: Annotated[float, Range(0, 1)] = 0.5

    def __post_init__(self) -> None:
        if find_accelerator(self.accelerator) is None:
            raise UserError(
                f"plan.cluster.accelerator={self.accelerator} is not in the table of accelerators; "
                f"there are {', '.join(accelerators())}"
            )

    def peak(self, compute: str) -> float:
        """FLOP/s of matrix products of a device. Raises UserError where it is not known."""
        found = find_accelerator(self.accelerator)
        assert found is not None
        tflops = found.single_tflops if compute == "float32" else found.half_tflops
        if tflops is None:
            raise UserError(
                f"plan.cluster.accelerator={self.accelerator}: its peak in {compute} is not in the "
                "table; write another precision= or accelerator"
            )
        return 1e12 * tflops

    def bandwidth(self, traffic: Traffic, sizes: dict[str, int]) -> float:
        """Bytes per second that a device sends in a ring over some axes of the mesh.

        Neighbours on the last axis are in one machine. A ring that leaves the machine has the
        network connections of its devices in the machine, side by side.
        """
        names = list(sizes)
        inner = names[names.index(traffic.axes[-1]) + 1 :]
        apart = math.prod(sizes[name] for name in inner)
        if traffic.devices * apart <= self.per_machine:
            return self.link * GIGA
        together = max(1, self.per_machine // apart)
        return min(self.link, together * self.network) * GIGA

    def assumptions(self) -> str:
        """The assumptions as a sentence."""
        return (
            f"{self.accelerator}, {self.per_machine} in a machine, {self.link:g} GB/s a device "
            f"within it and {self.network:g} GB/s to others, {self.mfu:.0%} of the peak, sums and "
            f"gathers over data and fsdp hidden behind {self.overlap:.0%} of the computing time; "
            "no latency"
        )


@dataclasses.dataclass(frozen=True)
class ClusterForecast:
    """A training step on many devices.

    mesh: sizes of the axes
    compute: seconds of the matrix products; exposed: of communication that is not hidden
    traffic: what a device sends; seconds: of each of these
    state: bytes of parameters, optimizer state and average on a device, without activations
    tokens: read in a step
    assumptions: as a sentence
    """

    mesh: dict[str, int]
    compute: float
    exposed: float
    traffic: list[Traffic]
    seconds: list[float]
    state: int
    tokens: float
    assumptions: str

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return self.compute + self.exposed

    @property
    def efficiency(self) -> float:
        """Speed of a device over that of one that does not communicate."""
        return self.compute / self.step

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        own = {"seconds_per_step": self.step, "efficiency": self.efficiency}
        moved = [
            dataclasses.asdict(one) | {"sent": one.sent, "seconds": seconds}
            for one, seconds in zip(self.traffic, self.seconds, strict=True)
        ]
        return dataclasses.asdict(self) | own | {"traffic": moved}


def on_one_device(cfg: DictConfig) -> DictConfig:
    """The config with a mesh of one device, to be built here."""
    made = cfg.copy()
    with open_dict(made):
        made.mesh.data = made.mesh.fsdp = made.mesh.tensor = 1
    return made


def cluster_forecast(
    setup: Setup, config: MeshConfig, cluster: ClusterConfig, executed: float, tokens: float
) -> ClusterForecast:
    """A step of a run on `cluster.devices` devices. Raises UserError as training on them would.

    setup: built on one device; config: of the mesh of many
    executed, tokens: FLOPs that a step executes, and tokens that it reads
    """
    assert cluster.devices is not None
    sizes = config.sizes(cluster.devices)
    if math.prod(sizes) != cluster.devices:
        raise UserError(
            f"plan.cluster.devices={cluster.devices}: mesh= is laid over {math.prod(sizes)} of "
            "them; write mesh=data, mesh=fsdp or mesh=tensor, which take all that are left"
        )
    mesh = cast(Mesh, AbstractMesh(sizes, AXES))  # it has the names and sizes of the axes
    check_batch_size(setup.corpus.batch, mesh, setup.trainer.accumulate)
    check_tensor(setup.objective, setup.abstract_state.params, config, mesh)
    state = with_shardings(setup.abstract_state, config.shardings(setup.abstract_state, mesh))
    traffic = step_traffic(setup, config, mesh)
    by_name: dict[str, int] = {str(name): n for name, n in zip(AXES, sizes, strict=True)}
    seconds = [one.sent / cluster.bandwidth(one, by_name) for one in traffic]
    peak = cluster.peak(setup.cfg.precision.compute)
    compute = executed / (math.prod(sizes) * cluster.mfu * peak)
    of_tensor = sum(s for s, one in zip(seconds, traffic, strict=True) if "tensor" in one.axes)
    others = sum(seconds) - of_tensor
    return ClusterForecast(
        mesh=by_name,
        compute=compute,
        exposed=of_tensor + max(0.0, others - cluster.overlap * compute),
        traffic=traffic,
        seconds=seconds,
        state=bytes_per_device(state),
        tokens=tokens,
        assumptions=cluster.assumptions(),
    )


def rows(found: ClusterForecast) -> list[tuple[str, str]]:
    """(name, value) of what is printed of it."""
    sizes = " × ".join(f"{name} {size}" for name, size in found.mesh.items() if size > 1)
    lines = [
        ("mesh", sizes or "one device"),
        ("step", f"{formatting.duration(found.step)}: {found.compute:.3g} s of matrix products, "
                 f"{found.exposed:.3g} s of communication that is not hidden"),
        ("", f"{formatting.si(found.tokens / found.step, 'tokens/s')}; efficiency "
             f"{found.efficiency:.0%}"),
        ("state", f"{formatting.si(found.state, 'B')} a device, without activations"),
    ]  # fmt: skip
    for one, seconds in zip(found.traffic, found.seconds, strict=True):
        over = f"{'+'.join(one.axes)} ({one.devices})"
        sent = f"{formatting.si(one.sent, 'B')} a step and device, {seconds:.3g} s"
        lines.append((over, f"{one.kind} of {one.what}: {sent}"))
    return [*lines, ("assumed", found.assumptions)]
