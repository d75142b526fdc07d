"""RAPL: the processors' own energy counters (package and DRAM), read from Linux sysfs.

The counters are the machine's, not the process's: one process per machine reads them.
"""

from collections.abc import Sequence
from pathlib import Path

from fxformer.energy.source import Reading, Unreadable, UnreadableError

_ROOT = Path("/sys/class/powercap")
_CHMOD = "once per boot: sudo chmod -R a+r /sys/devices/virtual/powercap/intel-rapl"


class RAPL:
    """Sums the package zones and their DRAM subzones; core and uncore lie inside the package, psys
    around it, so both would count twice. Raises UnreadableError when there is nothing to read.

    A counter that wraps is mended once per read; it must be read before it wraps twice (at 300 W
    and the usual 262 kJ that is every 14 minutes).
    """

    name = "rapl"

    def __init__(self, *, sigma: float, every: float, root: Path = _ROOT):
        self.every, self._sigma = every, sigma
        self._zones = list(_zones(root))
        if not self._zones:
            raise UnreadableError(Unreadable(
                self.name, f"no package zone under {root}",
                "needs bare metal (or a guest that sees its counters) and the intel_rapl driver"))
        try:
            self._last = [_number(folder / "energy_uj") for _, folder in self._zones]
            self._span = [_number(folder / "max_energy_range_uj") for _, folder in self._zones]
        except PermissionError as error:
            reason = f"no permission to read {error.filename}"
            raise UnreadableError(Unreadable(self.name, reason, _CHMOD)) from error
        except (OSError, ValueError) as error:
            what = Unreadable(self.name, str(error), "see the kernel log")
            raise UnreadableError(what) from error
        self._joules = [0.0] * len(self._zones)

    @property
    def has_dram(self) -> bool:
        """Whether memory has a counter of its own here."""
        return any(device == "ram" for device, _ in self._zones)

    def read(self) -> Sequence[Reading]:
        """Readings "cpu" (all packages) and, where counted, "ram". OSError: a counter is gone."""
        for n, (_, folder) in enumerate(self._zones):
            now = _number(folder / "energy_uj")
            gone = now - self._last[n]
            if gone < 0:  # the counter went round
                gone += self._span[n]
            self._joules[n] += gone / 1e6
            self._last[n] = now
        totals: dict[str, float] = {}
        for (device, _), joules in zip(self._zones, self._joules, strict=True):
            totals[device] = totals.get(device, 0.0) + joules
        return [Reading(device, self.name, "measured", self._sigma, joules)
                for device, joules in totals.items()]

    def close(self) -> None:
        """Nothing is held open."""


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
