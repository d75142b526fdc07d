"""Cross-check of the energy meter: codecarbon or zeus counts the same run in parallel.

The tool is imported only when energy.crosscheck names it, and its failure never stops the run.
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
    """Another energy tool that counts between `start` and `stop`.

    package: its name on PyPI
    """

    package: str

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> Mapping[str, float]:
        """Joules of "cpu", "ram", "gpu", of those that it could measure or model."""
        ...


class CodeCarbon:
    """codecarbon's offline tracker, of this process. Its processor energy is power × load, its
    memory power depends on the size only; nothing is written or sent. Tested with 3.3.2."""

    package = "codecarbon"

    def start(self) -> None:
        """Begin; takes codecarbon some seconds."""
        module = importlib.import_module("codecarbon")
        self._tracker = module.OfflineEmissionsTracker(
            country_iso_code="FRA",  # required; only the joules are used
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
    """zeus's monitor: GPUs by NVML or amdsmi, processors by RAPL. Tested with 0.16.0."""

    package = "zeus"

    def start(self) -> None:
        """Begin. Does not wait for computations: the window is the whole run."""
        module = importlib.import_module("zeus.monitor")
        self._monitor = module.ZeusMonitor(sync_execution_with="jax")
        self._monitor.begin_window("fxformer", sync_execution=False)

    def stop(self) -> Mapping[str, float]:
        """What it has counted."""
        found = self._monitor.end_window("fxformer", sync_execution=False)
        parts = {"cpu": found.cpu_energy, "ram": found.dram_energy, "gpu": found.gpu_energy}
        return {device: sum(values.values()) for device, values in parts.items() if values}


TOOLS: dict[str, type[Tool]] = {tool.package: tool for tool in (CodeCarbon, Zeus)}


def open_tool(name: str) -> Tool:
    """The tool called `name`. UserError with the pip command where it is not installed."""
    if importlib.util.find_spec(name) is None:
        raise UserError(
            f"energy.crosscheck={name}: {name} is not installed; write pip install "
            f"{name}, or leave energy.crosscheck out"
        )
    return TOOLS[name]()


class CrossCheck:
    """Runs a tool in parallel with a meter from `begin` to `end`, which compares the two.

    tool: None: no tool; all results are empty
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
        except Exception as error:  # noqa: BLE001 - another tool's failure never stops the run
            self._failed = f"{type(error).__name__}: {error}"
        self._before = _by_device(self._meter)  # the tool does not count its own start

    def close(self) -> None:
        """End the tool, if it runs."""
        if self._before is not None:
            self.end()

    def end(self) -> dict[str, Any]:
        """{"tool", "version", "tool_joules", "own_joules", "relative_difference", "by_device":
        {device: [tool, own]}, "failed": reason why there are no numbers}; {} without a tool. Ends
        the tool; a second call returns the same."""
        if self.tool is None or self._before is None:
            return {}
        if self._ended is None:
            after = _by_device(self._meter)
            ours = {device: after[device] - self._before.get(device, 0.0) for device in after}
            self._ended = ({} if self._failed else self._stop(), ours)
        theirs, ours = self._ended
        facts: dict[str, Any] = {"tool": self.tool.package, "version": _version(self.tool.package)}
        if not theirs:
            return facts | {"failed": self._failed or "it could read no device here"}
        tool, own = sum(theirs.values()), sum(ours.values())
        return facts | {
            "tool_joules": tool,
            "own_joules": own,
            "relative_difference": tool / own - 1 if own else None,
            "by_device": {d: [theirs.get(d, 0.0), ours.get(d, 0.0)] for d in (theirs | ours)},
        }

    def text(self) -> str:
        """The same as text; "" without a tool."""
        facts = self.end()
        if not facts:
            return ""
        name = f"{facts['tool']} {facts['version']}"
        if "failed" in facts:
            return f"{name} failed: {facts['failed']}"
        parts = ", ".join(
            f"{device} {tool:.4g} J, here {own:.4g} J"
            for device, (tool, own) in facts["by_device"].items()
        )
        difference = facts["relative_difference"]
        change = "" if difference is None else f" ({difference:+.0%})"
        sums = f"{facts['tool_joules']:.4g} J, here {facts['own_joules']:.4g} J{change}"
        return f"{name}: {sums}; {parts}"

    def _stop(self) -> dict[str, float]:
        try:
            return {} if self.tool is None else dict(self.tool.stop())
        except Exception as error:  # noqa: BLE001 - the same
            self._failed = f"{type(error).__name__}: {error}"
            return {}


def _by_device(meter: Meter) -> dict[str, float]:
    """The meter's joules by the kinds of device that the tools have."""
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
