"""The same joules as another tool counts them, beside ours: never instead of them.

The other tool is imported only when it is asked for, and its failure is never the run's.
"""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from typing import Any, Protocol

from fxformer.energy.meter import Meter
from fxformer.errors import UserError

JOULES_PER_KWH = 3.6e6


class Tool(Protocol):
    """Something that counts between `start` and `stop`.

    package: as pip calls it
    """

    package: str

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> Mapping[str, float]:
        """Joules of "cpu", "ram", "gpu": of what it could read or model, nothing of the rest."""
        ...


class CodeCarbon:
    """codecarbon's offline tracker, of this process. Its processor share is power × load, its
    memory a flat figure by size; nothing is written or sent. Tried with 3.3.2."""

    package = "codecarbon"

    def start(self) -> None:
        """Begin; takes codecarbon some seconds."""
        module = importlib.import_module("codecarbon")
        self._tracker = module.OfflineEmissionsTracker(
            country_iso_code="FRA",  # it wants one; only its joules are read here
            measure_power_secs=1, tracking_mode="process", save_to_file=False,
            log_level="error", allow_multiple_runs=True,
        )  # fmt: skip
        self._tracker.start()

    def stop(self) -> Mapping[str, float]:
        """What it has counted."""
        self._tracker.stop()
        found = self._tracker.final_emissions_data
        kwh = {"cpu": found.cpu_energy, "ram": found.ram_energy, "gpu": found.gpu_energy}
        return {device: JOULES_PER_KWH * value for device, value in kwh.items() if value > 0}


class Zeus:
    """A window of zeus's monitor: GPUs by NVML or amdsmi, processors by RAPL. Tried with 0.16.0."""

    package = "zeus"

    def start(self) -> None:
        """Begin. Computations are not waited for: the window is the whole run."""
        module = importlib.import_module("zeus.monitor")
        self._monitor = module.ZeusMonitor(sync_execution_with="jax")
        self._monitor.begin_window("fxformer", sync_execution=False)

    def stop(self) -> Mapping[str, float]:
        """What it has counted."""
        found = self._monitor.end_window("fxformer", sync_execution=False)
        parts = {"cpu": found.cpu_energy, "ram": found.dram_energy, "gpu": found.gpu_energy}
        return {device: sum(values.values()) for device, values in parts.items() if values}


TOOLS: dict[str, type[Tool]] = {tool.package: tool for tool in (CodeCarbon, Zeus)}


def tool_called(name: str) -> Tool:
    """UserError, with the line for pip, where it is not installed."""
    if importlib.util.find_spec(name) is None:
        raise UserError(
            f"energy.crosscheck={name}: {name} is not installed; write pip install "
            f"{name}, or leave energy.crosscheck out"
        )
    return TOOLS[name]()


class Check:
    """Runs a tool beside a meter from `begin` to `end`, which says how the two compare.

    tool: None: nobody asked for one, and there is nothing to say
    """

    def __init__(self, tool: Tool | None, meter: Meter):
        self.tool, self._meter, self._failed = tool, meter, ""
        self._before: dict[str, float] | None = None
        self._ended: tuple[dict[str, float], dict[str, float]] | None = None

    def begin(self) -> None:
        """Start the tool."""
        if self.tool is None:
            return
        try:
            self.tool.start()
        except Exception as error:  # noqa: BLE001 - another tool's failure is never the run's
            self._failed = f"{type(error).__name__}: {error}"
        self._before = _by_device(self._meter)  # its own start is not in its count

    def close(self) -> None:
        """End the tool, if it runs."""
        if self._before is not None:
            self.end()

    def end(self) -> dict[str, Any]:
        """{"tool", "version", "joules": its, "ours", "difference": relative, "by": {device: [its,
        ours]}, "failed": why there are no numbers}; {} without a tool. Ends the tool; a second call
        says the same."""
        if self.tool is None or self._before is None:
            return {}
        if self._ended is None:
            after = _by_device(self._meter)
            ours = {device: after[device] - self._before.get(device, 0.0) for device in after}
            self._ended = ({} if self._failed else self._stop(), ours)
        theirs, ours = self._ended
        facts: dict[str, Any] = {"tool": self.tool.package, "version": _version(self.tool.package)}
        if not theirs:
            return facts | {"failed": self._failed or "it could read nothing here"}
        joules, mine = sum(theirs.values()), sum(ours.values())
        by = {d: [theirs.get(d, 0.0), ours.get(d, 0.0)] for d in (theirs | ours)}
        difference = joules / mine - 1 if mine else None
        return facts | {"joules": joules, "ours": mine, "difference": difference, "by": by}

    def words(self) -> str:
        """The same for a person; "" without a tool."""
        facts = self.end()
        if not facts:
            return ""
        name = f"{facts['tool']} {facts['version']}"
        if "failed" in facts:
            return f"{name} gave no numbers: {facts['failed']}"
        parts = ", ".join(
            f"{device} {their:.4g} J against {our:.4g}"
            for device, (their, our) in facts["by"].items()
        )
        change = "" if facts["difference"] is None else f" ({facts['difference']:+.0%})"
        sums = f"{facts['joules']:.4g} J against {facts['ours']:.4g} J here{change}"
        return f"{name}: {sums}; {parts}"

    def _stop(self) -> dict[str, float]:
        try:
            return dict(self.tool.stop())
        except Exception as error:  # noqa: BLE001 - the same
            self._failed = f"{type(error).__name__}: {error}"
            return {}


def _by_device(meter: Meter) -> dict[str, float]:
    """Our joules by the tools' kinds of device."""
    sums: dict[str, float] = {}
    for device, part in meter.own().by("device").items():
        kind = device if device in ("cpu", "ram") else "gpu"
        sums[kind] = sums.get(kind, 0.0) + part.joules
    return sums


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
