"""RAPL: the processors' own energy counters (package and DRAM), read from Linux sysfs.

The counters are the machine's, not the process's: `Shared` divides them among processes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fxformer.energy import host_usage
from fxformer.energy.counter import Member, Part, gain
from fxformer.energy.sensor import Provenance, Unreadable, UnreadableError

_ROOT = Path("/sys/class/powercap")
_CHMOD = "once per boot: sudo chmod -R a+r /sys/devices/virtual/powercap/intel-rapl"
WATTS = 800.0  # no package, and no memory of one, draws more


class RAPL:
    """The package zones and their DRAM subzones; core and uncore lie inside the package, psys
    around it, so both would count twice. Raises UnreadableError when there is nothing to read.

    A counter that wraps is mended; it must be read before it may have wrapped twice (at `WATTS` and
    the usual 262 kJ that is every 5 minutes).
    """

    name = key = "rapl"
    provenance: Provenance = "measured"
    sample_every = None
    step = staticmethod(gain)

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
            self.parts = {
                folder.name: Part(device, WATTS, _number(folder / "max_energy_range_uj") / 1e6)
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
        """Joules that each zone shows. OSError, ValueError: one cannot be read."""
        return {name: _number(file) / 1e6 for name, file in self._files.items()}

    def use(self, members: Sequence[Member], state: dict) -> bool:
        """Processor seconds of the members; False where one is not seen from here (containers)."""
        seen = [host_usage.seconds_of(member.pid, member.start) for member in members]
        for member, seconds in zip(members, seen, strict=True):
            member.use = member.use if seconds is None else seconds
        return None not in seen

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
