"""RAPL: energy counters of processor packages and DRAM, read from Linux sysfs.

The counters are the machine's, not the process's: `SharedCounter` attributes them to processes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fxformer.energy import host_usage
from fxformer.energy.sensor import (
    MeteredProcess,
    Provenance,
    Register,
    Unreadable,
    UnreadableError,
    counter_step,
)

_ROOT = Path("/sys/class/powercap")
_CHMOD = "once per boot: sudo chmod -R a+r /sys/devices/virtual/powercap/intel-rapl"
MAX_WATTS = 800.0  # no package, and no memory of one, draws more


class RAPL:
    """The package zones and their DRAM subzones; core and uncore lie inside the package, psys
    around it, so both would count twice. Raises UnreadableError when there is nothing to read.

    A counter that has wrapped once is corrected; it must be read before it may have wrapped twice
    (at `MAX_WATTS` and the usual 262 kJ: every 5 minutes).
    """

    name = key = "rapl"
    provenance: Provenance = "measured"
    sample_every: float | None = None
    step = staticmethod(counter_step)

    def __init__(self, *, sigma: float, every: float, root: Path = _ROOT):
        self.every, self.sigma = every, sigma
        zones = list(_zones(root))
        if not zones:
            raise UnreadableError(
                Unreadable(
                    self.name,
                    f"no package zone under {root}",
                    "needs bare metal, or a guest with its counters, and the intel_rapl driver",
                )
            )
        try:
            self.registers: Mapping[str, Register] = {
                folder.name: Register(
                    device, MAX_WATTS, _number(folder / "max_energy_range_uj") / 1e6
                )
                for device, folder in zones
            }
            self._files = {folder.name: folder / "energy_uj" for _, folder in zones}
            self.raw()
        except PermissionError as error:
            reason = f"no permission to read {error.filename}"
            raise UnreadableError(Unreadable(self.name, reason, _CHMOD)) from error
        except (OSError, ValueError) as error:
            what = Unreadable(self.name, str(error), "see the kernel log")
            raise UnreadableError(what) from error

    def raw(self) -> Mapping[str, float]:
        """Joules of each zone. OSError, ValueError: one cannot be read."""
        return {name: _number(file) / 1e6 for name, file in self._files.items()}

    def update_use(self, processes: Sequence[MeteredProcess], state: dict) -> bool:
        """Processor seconds of the processes; False where one is not visible (containers)."""
        found = [host_usage.cpu_seconds_of(one.pid, one.start) for one in processes]
        for process, seconds in zip(processes, found, strict=True):
            process.use = process.use if seconds is None else seconds
        return None not in found

    def close(self) -> None:
        """Nothing to release."""


def _zones(root: Path):
    """(device, folder) of the zones to sum. The -mmio twins show the same package again."""
    for folder in sorted(root.glob("intel-rapl:*")):
        try:
            kind = (folder / "name").read_text().strip()
        except OSError:
            continue
        if kind.startswith("package"):
            yield "cpu", folder
        elif kind == "dram":
            yield "ram", folder


def _number(path: Path) -> int:
    return int(path.read_text())
