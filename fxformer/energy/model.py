"""The stated model: what counts joules where nothing can be read, from design powers and use.

CPU: watts per thread x processor seconds of this process. RAM: watts per GB x resident memory x
time. Accelerator: design power x assumed load x time. It charges the process for what it uses, so
two processes on a machine never count the machine twice; and it leaves out what an idle host draws.
"""

import time
from collections.abc import Callable, Sequence

from fxformer.energy import chips, host, tdp
from fxformer.energy.source import Reading


class CPUModel:
    """joules = watts per busy thread x processor seconds of this process.

    tdp_watts: design power of the whole machine's processors; None: the table's value per thread
    threads: hardware threads that `tdp_watts` feeds
    since: processor seconds of the process from which to count; None: from now
    """

    name, every = "model:cpu", 0.0

    def __init__(
        self,
        *,
        tdp_watts: float | None,
        threads: int,
        sigma: float,
        since: float | None = None,
        seconds: Callable[[], float] = host.cpu_seconds,
    ):
        if tdp_watts is None:
            self.watts, self.statement = tdp.cpu_watts_per_thread(host.cpu_name())
        else:
            self.watts, self.statement = tdp_watts / threads, f"{tdp_watts:g} W / {threads} threads"
        self._sigma, self._seconds = sigma, seconds
        self._start = seconds() if since is None else since

    def read(self) -> Sequence[Reading]:
        """One reading, "cpu"."""
        joules = self.watts * (self._seconds() - self._start)
        return [Reading("cpu", self.name, "modelled", self._sigma, joules)]

    def close(self) -> None:
        """Nothing to let go."""


class RAMModel:
    """joules = watts per GB x resident memory x time; memory is looked at once a second at most.

    before: seconds of the process before now that count too; memory grew from nothing in them
    """

    name, every = "model:ram", 0.0

    def __init__(
        self,
        *,
        watts_per_gb: float,
        sigma: float,
        before: float = 0.0,
        resident: Callable[[], int] = host.resident_bytes,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.statement = f"{watts_per_gb:g} W/GB of this process's resident memory"
        self._per_byte, self._sigma = watts_per_gb / 1e9, sigma
        self._resident, self._clock = resident, clock
        self._last = self._looked = clock()
        self._bytes = resident()
        self._joules = self._per_byte * self._bytes / 2 * before

    def read(self) -> Sequence[Reading]:
        """One reading, "ram"."""
        now = self._clock()
        if now - self._looked >= 1.0:
            # the mean of the old and the new size: memory grew somewhere in between
            new = self._resident()
            size, self._bytes, self._looked = (self._bytes + new) / 2, new, now
        else:
            size = self._bytes
        self._joules += self._per_byte * size * (now - self._last)
        self._last = now
        return [Reading("ram", self.name, "modelled", self._sigma, self._joules)]

    def close(self) -> None:
        """Nothing to let go."""


class ChipModel:
    """joules = design power x load x time, for accelerators nobody can read.

    devices: {name of the device in the readings: what kind it is, as its driver calls it}
    load: assumed share of the design power that is drawn, mean over the run
    tdp_watts: per device; None: the table's value for its kind
    """

    name, every = "model:chip", 0.0

    def __init__(
        self,
        devices: dict[str, str],
        *,
        tdp_watts: float | None,
        load: float,
        sigma: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        known = {
            d: (tdp_watts, f"{tdp_watts} W given") if tdp_watts else chips.chip_watts(kind)
            for d, kind in devices.items()
        }
        self._watts = {device: watts * load for device, (watts, _) in known.items()}
        self.statement = f"{'; '.join(sorted({s for _, s in known.values()}))} at load {load:g}"
        self._sigma, self._clock, self._start = sigma, clock, clock()

    def read(self) -> Sequence[Reading]:
        """One reading per device."""
        seconds = self._clock() - self._start
        return [
            Reading(device, self.name, "modelled", self._sigma, watts * seconds)
            for device, watts in self._watts.items()
        ]

    def close(self) -> None:
        """Nothing to let go."""
