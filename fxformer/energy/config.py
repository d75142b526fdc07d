"""What `conf/energy` builds: the knobs of counting, and how a meter is put together from them."""

import os
from collections.abc import Sequence
from typing import Literal

from fxformer.energy import host_usage
from fxformer.energy.accelerators import accelerator_watts
from fxformer.energy.carbon import Carbon
from fxformer.energy.crosscheck import Check, tool_called
from fxformer.energy.machine_state import meeting_place
from fxformer.energy.meter import Meter
from fxformer.energy.nvml import open_gpus
from fxformer.energy.rapl import RAPL
from fxformer.energy.sensor import Source, Unreadable, UnreadableError
from fxformer.energy.shared_counter import Shared
from fxformer.energy.startup import Startup, take
from fxformer.energy.tdp import AcceleratorModel, CPUModel, RAMModel
from fxformer.energy.totals import Totals
from fxformer.types import NonNegative, Positive, Share


class TDPEnergy:
    """Counts by the stated model alone.

    cpu_tdp_watts: design power of this machine's processors; None: from a table, per thread
    ram_watts_per_gb: of resident memory
    gpu_tdp_watts: design power of one accelerator; None: from a table
    gpu_load: share of it an accelerator that cannot be read is taken to draw
    pue, grid_gco2e_per_kwh, region, grid_hourly, grid_column, grid_timezone: see `Carbon`
    sigma_*: one standard deviation of a reading, relative to it
    read_every_seconds: between two looks at a hardware counter
    power_every_seconds: between two samples of power where there is no counter
    budget_kwh, budget_gco2e: what a run may use, all attempts together; None: no limit
    crosscheck: another tool that counts beside ours, for comparison; None: none
    ledger_every_seconds: between two lines of the run's energy.jsonl; what a kill can lose
    """

    def __init__(
        self,
        *,
        cpu_tdp_watts: Positive | None = None,
        ram_watts_per_gb: NonNegative = 0.375,
        gpu_tdp_watts: Positive | None = None,
        gpu_load: Share = 1.0,
        pue: Positive = 1.0,
        grid_gco2e_per_kwh: NonNegative | None = None,
        region: str | None = None,
        grid_hourly: str | None = None,
        grid_column: str | None = None,
        grid_timezone: str | None = None,
        sigma_measured: NonNegative = 0.05,
        sigma_integrated: NonNegative = 0.10,
        sigma_modelled: NonNegative = 0.40,
        read_every_seconds: NonNegative = 0.5,
        power_every_seconds: Positive = 0.1,
        ledger_every_seconds: NonNegative = 10.0,
        budget_kwh: Positive | None = None,
        budget_gco2e: Positive | None = None,
        crosscheck: Literal["codecarbon", "zeus"] | None = None,
    ):
        grid = {
            "grid_hourly": grid_hourly,
            "grid_column": grid_column,
            "grid_timezone": grid_timezone,
            "grid_gco2e_per_kwh": grid_gco2e_per_kwh,
        }
        self.carbon = Carbon(pue=pue, region=region, **grid)
        self.ledger_every_seconds = ledger_every_seconds
        self._tool = None if crosscheck is None else tool_called(crosscheck)
        self.budget_kwh, self.budget_gco2e = budget_kwh, budget_gco2e
        self._cpu_tdp, self._ram_watts = cpu_tdp_watts, ram_watts_per_gb
        self._gpu_tdp, self._gpu_load = gpu_tdp_watts, gpu_load
        self._measured, self._integrated = sigma_measured, sigma_integrated
        self._modelled = sigma_modelled
        self._every, self._power_every = read_every_seconds, power_every_seconds
        self._before = Startup(0.0, 0.0)

    def open(
        self,
        *,
        accelerators: Sequence[str] | None = None,
        prior: Totals | None = None,
        startup: bool = False,
    ) -> Meter:
        """A running meter; it counts from now.

        accelerators: kinds of this process's devices other than CPUs, as JAX calls them
            ([d.device_kind for d in jax.local_devices() if d.platform != "cpu"]); None: not known
        prior: totals of the run's earlier attempts
        startup: count what the process used before now too, if no meter has (see `startup`)
        """
        self._before = take() if startup else Startup(host_usage.cpu_seconds(), 0.0)
        sources, unreadable = self._sources(accelerators)
        said = [f"{s.name}: {s.statement}" for s in sources if hasattr(s, "statement")]
        return Meter(
            sources,
            unreadable=unreadable,
            statements=said,
            prior=prior,
            before=self._before.seconds,
        )

    def check(self, meter: Meter) -> Check:
        """The other tool beside `meter`, not yet begun; one of no tool where none is asked for."""
        return Check(self._tool, meter)

    @property
    def sigma_modelled(self) -> float:
        """One standard deviation of a modelled reading, relative to it."""
        return self._modelled

    def expected_watts(self, accelerators: Sequence[str], *, cores: int, memory: float) -> float:
        """What the stated model would count: so many busy threads, bytes of memory, devices."""
        cpu, ram = self._cpu().watts * cores, self._ram_watts * memory / 1e9
        known = [self._gpu_tdp or accelerator_watts(kind)[0] for kind in accelerators]
        return cpu + ram + self._gpu_load * sum(known)

    def _sources(self, accelerators: Sequence[str] | None) -> tuple[list[Source], list[Unreadable]]:
        return [self._cpu(), self._ram(), *self._chips(_named(accelerators or ()))], []

    def _cpu(self) -> Source:
        return CPUModel(
            tdp_watts=self._cpu_tdp,
            threads=os.cpu_count() or 1,
            sigma=self._modelled,
            since=self._before.cpu_seconds,
        )

    def _ram(self) -> Source:
        return RAMModel(
            watts_per_gb=self._ram_watts, sigma=self._modelled, before=self._before.seconds
        )

    def _chips(self, devices: dict[str, str]) -> list[Source]:
        if not devices:
            return []
        return [
            AcceleratorModel(
                devices, tdp_watts=self._gpu_tdp, load=self._gpu_load, sigma=self._modelled
            )
        ]


class AutoEnergy(TDPEnergy):
    """Counts by the best that can be read: NVML for the GPUs, RAPL for processors and memory, and
    the stated model for the rest. While a meter cannot be read, or shows what cannot be, the model
    counts. A counter that several processes see is divided among them (`Shared`)."""

    def _sources(self, accelerators: Sequence[str] | None) -> tuple[list[Source], list[Unreadable]]:
        unreadable: list[Unreadable] = []
        sources = [*self._host(unreadable), *self._gpus(accelerators, unreadable)]
        return sources, unreadable

    def _host(self, unreadable: list[Unreadable]) -> list[Source]:
        try:
            rapl = RAPL(sigma=self._measured, every=self._every)
        except UnreadableError as error:
            unreadable.append(error.what)
            return [self._cpu(), self._ram()]
        counted = {part.device for part in rapl.parts.values()}
        models = {"cpu": self._cpu(), "ram": self._ram()}
        rest = [models.pop(device) for device in set(models) - counted]
        return [Shared(rapl, models, place=meeting_place(), startup=True), *rest]

    def _gpus(
        self, accelerators: Sequence[str] | None, unreadable: list[Unreadable]
    ) -> list[Source]:
        if accelerators is not None and not accelerators:
            return []  # the run does not use the GPUs this machine may have
        try:
            sources, kinds = open_gpus(
                sigma_counter=self._measured,
                sigma_power=self._integrated,
                every=self._every,
                power_every=self._power_every,
            )
        except UnreadableError as error:
            unreadable.append(error.what)
            return self._chips(_named(accelerators or ()))
        found: list[Source] = []
        for source in sources:
            models = {device: self._chips({device: kinds[device]})[0] for device in source.parts}
            found.append(Shared(source, models, place=meeting_place()))
        return found


def _named(kinds: Sequence[str]) -> dict[str, str]:
    """Names for devices that have no UUID: {"gpu:0": kind, …}."""
    return {f"{'tpu' if 'tpu' in k.lower() else 'gpu'}:{n}": k for n, k in enumerate(kinds)}
