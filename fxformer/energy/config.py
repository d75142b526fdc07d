"""Energy configuration, built from conf/energy: options, and a meter assembled from them."""

import os
from collections.abc import Sequence
from typing import Literal

from fxformer.energy import host_usage
from fxformer.energy.accelerators import accelerator_watts
from fxformer.energy.carbon import Carbon
from fxformer.energy.crosscheck import CrossCheck, open_tool
from fxformer.energy.host_usage import Startup, take_startup
from fxformer.energy.machine_state import shared_folder
from fxformer.energy.meter import Meter
from fxformer.energy.nvml import open_gpus
from fxformer.energy.rapl import RAPL
from fxformer.energy.sensor import Sensor, Unreadable, UnreadableError
from fxformer.energy.shared_counter import SharedCounter
from fxformer.energy.tdp import AcceleratorModel, CPUModel, RAMModel
from fxformer.energy.totals import EnergyTotals
from fxformer.types import NonNegative, Positive, Share


class TDPEnergy:
    """Counts by the TDP model alone; reads no sensor of the hardware.

    cpu_tdp_watts: design power of all processors of this machine; None: from a table, per thread
    ram_watts_per_gb: of resident memory
    gpu_tdp_watts: design power of one accelerator; None: from a table
    gpu_load: assumed share of it that an accelerator without a sensor draws
    pue, grid_gco2e_per_kwh, region, grid_hourly, grid_column, grid_timezone: see `Carbon`
    sigma_*: one standard deviation of a reading, relative to it
    read_every_seconds: minimum time between two reads of a hardware counter
    power_every_seconds: between two samples of power where there is no counter
    budget_kwh, budget_gco2e: maximum of a run, all attempts together; None: no limit
    crosscheck: another tool that counts in parallel, for comparison; None: none
    ledger_every_seconds: between two lines of the run's energy.jsonl
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
        self._tool = None if crosscheck is None else open_tool(crosscheck)
        self.budget_kwh, self.budget_gco2e = budget_kwh, budget_gco2e
        self._cpu_tdp, self._ram_watts = cpu_tdp_watts, ram_watts_per_gb
        self._gpu_tdp, self._gpu_load = gpu_tdp_watts, gpu_load
        self._sigma_measured, self._sigma_integrated = sigma_measured, sigma_integrated
        self.sigma_modelled = sigma_modelled
        self._every, self._power_every = read_every_seconds, power_every_seconds
        self._startup = Startup(0.0, 0.0)

    def open(
        self,
        *,
        accelerators: Sequence[str] | None = None,
        prior: EnergyTotals | None = None,
        startup: bool = False,
    ) -> Meter:
        """A running meter; it counts from now.

        accelerators: kinds of this process's devices other than CPUs, as JAX names them
            ([d.device_kind for d in jax.local_devices() if d.platform != "cpu"]); None: not known
        prior: totals of the run's earlier attempts
        startup: also count what the process used before now, if no meter has (`claim_process`)
        """
        self._startup = take_startup() if startup else Startup(host_usage.cpu_seconds(), 0.0)
        sensors, unreadable = self._sensors(accelerators)
        return Meter(
            sensors,
            unreadable=unreadable,
            assumptions=[
                f"{sensor.name}: {text}"
                for sensor in sensors
                if (text := getattr(sensor, "assumption", None))
            ],
            prior=prior,
            before=self._startup.seconds,
        )

    def cross_check(self, meter: Meter) -> CrossCheck:
        """The other tool in parallel with `meter`, not yet started; of no tool if none is set."""
        return CrossCheck(self._tool, meter)

    def expected_watts(self, accelerators: Sequence[str], *, cores: int, memory: float) -> float:
        """Power by the TDP model: busy threads, bytes of memory, devices."""
        cpu, ram = self._cpu().watts * cores, self._ram_watts * memory / 1e9
        known = [self._gpu_tdp or accelerator_watts(kind)[0] for kind in accelerators]
        return cpu + ram + self._gpu_load * sum(known)

    def _sensors(self, accelerators: Sequence[str] | None) -> tuple[list[Sensor], list[Unreadable]]:
        gpus = self._accelerators(_device_names(accelerators or ()))
        return [self._cpu(), self._ram(), *gpus], []

    def _cpu(self) -> CPUModel:
        return CPUModel(
            tdp_watts=self._cpu_tdp,
            threads=os.cpu_count() or 1,
            sigma=self.sigma_modelled,
            since=self._startup.cpu_seconds,
        )

    def _ram(self) -> RAMModel:
        return RAMModel(
            watts_per_gb=self._ram_watts, sigma=self.sigma_modelled, before=self._startup.seconds
        )

    def _accelerators(self, devices: dict[str, str]) -> list[Sensor]:
        if not devices:
            return []
        model = AcceleratorModel(
            devices, tdp_watts=self._gpu_tdp, load=self._gpu_load, sigma=self.sigma_modelled
        )
        return [model]


class AutoEnergy(TDPEnergy):
    """Counts by the best available sensors: NVML for GPUs, RAPL for processors and memory, and the
    TDP model for the rest. While a sensor cannot be read, or its readings cannot be right, the
    model counts. A counter that several processes read is shared (`SharedCounter`)."""

    def _sensors(self, accelerators: Sequence[str] | None) -> tuple[list[Sensor], list[Unreadable]]:
        unreadable: list[Unreadable] = []
        sensors = [*self._host(unreadable), *self._gpus(accelerators, unreadable)]
        return sensors, unreadable

    def _host(self, unreadable: list[Unreadable]) -> list[Sensor]:
        try:
            rapl = RAPL(sigma=self._sigma_measured, every=self._every)
        except UnreadableError as error:
            unreadable.append(error.what)
            return [self._cpu(), self._ram()]
        counted = {register.device for register in rapl.registers.values()}
        models: dict[str, Sensor] = {"cpu": self._cpu(), "ram": self._ram()}
        rest = [models.pop(device) for device in set(models) - counted]
        return [SharedCounter(rapl, models, folder=shared_folder(), startup=True), *rest]

    def _gpus(
        self, accelerators: Sequence[str] | None, unreadable: list[Unreadable]
    ) -> list[Sensor]:
        if accelerators is not None and not accelerators:
            return []  # the run does not use the GPUs this machine may have
        try:
            counters, kinds = open_gpus(
                sigma_counter=self._sigma_measured,
                sigma_power=self._sigma_integrated,
                every=self._every,
                power_every=self._power_every,
            )
        except UnreadableError as error:
            unreadable.append(error.what)
            return self._accelerators(_device_names(accelerators or ()))
        sensors: list[Sensor] = []
        for counter in counters:
            models = {d: self._accelerators({d: kinds[d]})[0] for d in counter.registers}
            sensors.append(SharedCounter(counter, models, folder=shared_folder()))
        return sensors


def _device_names(kinds: Sequence[str]) -> dict[str, str]:
    """Names for devices that have no UUID: {"gpu:0": kind, …}."""
    return {f"{'tpu' if 'tpu' in k.lower() else 'gpu'}:{n}": k for n, k in enumerate(kinds)}
