"""TDP model: energy estimated from design powers and use, where no sensor can be read.

CPU: watts per thread x processor seconds of this process. RAM: watts per GB x resident memory x
time. Accelerator: design power x assumed load x time. Only what this process uses is counted, so
several processes never count the machine twice; the idle power of the host is left out.

`CPU_TDP` has (watts of a package, hardware threads of a package). Watts are those that codecarbon
3.3.2 (MIT) has collected from the makers' data sheets; a test compares the two tables. Threads are
twice the cores of a package (Apple: its cores, 13900K: 8 * 2 + 16), from the data sheets as
remembered; of these, Rome (64 cores, 128 threads at most), Genoa (96, 192) and Xeon 8592+ (64, 128)
were checked on en.wikichip.org and serverrental.store in November 2026.
"""

import time
from collections.abc import Callable, Sequence

from fxformer.energy import host_usage
from fxformer.energy.accelerators import accelerator_watts, longest_match
from fxformer.energy.sensor import Reading

CPU_TDP = {
    "AMD EPYC 7763": (280, 128),
    "AMD EPYC 7742": (225, 128),
    "AMD EPYC 7702": (200, 128),
    "AMD EPYC 7452": (155, 64),
    "AMD EPYC 7402": (180, 48),
    "AMD EPYC 7302": (155, 32),
    "AMD EPYC 9654": (360, 192),
    "AMD EPYC 9554": (360, 128),
    "AMD EPYC 9755": (500, 256),
    "AMD EPYC 9965": (500, 384),
    "AMD EPYC 7R13": (225, 96),
    "Intel Xeon Platinum 8124M": (240, 36),
    "Intel Xeon Platinum 8175M": (240, 48),
    "Intel Xeon Platinum 8259CL": (210, 48),
    "Intel Xeon Platinum 8275CL": (240, 48),
    "Intel Xeon Platinum 8272CL": (195, 52),
    "Intel Xeon Platinum 8358": (250, 64),
    "Intel Xeon Platinum 8370C": (205, 64),
    "Intel Xeon Platinum 8375C": (300, 64),
    "Intel Xeon Platinum 8380": (270, 80),
    "Intel Xeon Platinum 8468": (350, 96),
    "Intel Xeon Platinum 8480+": (350, 112),
    "Intel Xeon Platinum 8592+": (350, 128),
    "Intel Xeon Gold 6130": (125, 32),
    "Intel Xeon Gold 6148": (150, 40),
    "Intel Xeon Gold 6248": (150, 40),
    "Intel Xeon E5-2673 v4": (135, 40),
    "Intel Xeon E5-2680 v4": (120, 28),
    "Intel Xeon E5-2686 v4": (145, 36),
    "Intel Xeon E5-2690 v4": (135, 28),
    "Intel Xeon E5-2699 v4": (145, 44),
    "Intel Core i5-1135G7": (28, 8),
    "Intel Core i7-1165G7": (28, 8),
    "Intel Core i7-8550U": (15, 8),
    "Intel Core i9-9900K": (95, 16),
    "Intel Core i9-13900K": (125, 32),
    "AMD Ryzen 7 5800X": (105, 16),
    "AMD Ryzen 7 7840U": (28, 16),
    "AMD Ryzen 9 5950X": (105, 32),
    "AMD Ryzen 9 7950X": (170, 32),
    "AMD Ryzen Threadripper 3990X": (280, 128),
    "Apple M2": (22, 8),
    "Apple M2 Pro": (35, 12),
    "Apple M2 Max": (50, 12),
    "Apple M2 Ultra": (105, 24),
}
WATTS_PER_THREAD = 3.5  # median of the table above: for a processor that is not in it


def cpu_watts_per_thread(name: str) -> tuple[float, str]:
    """(watts of one busy hardware thread, their source) of the processor called `name`."""
    key = longest_match(CPU_TDP, name)
    if key is None:
        which = name or "unnamed processor"
        return WATTS_PER_THREAD, f"{WATTS_PER_THREAD} W a thread ({which} is not in the table)"
    watts, threads = CPU_TDP[key]
    return watts / threads, f"TDP {watts} W / {threads} threads of {key}"


class CPUModel:
    """joules = watts per busy thread x processor seconds of this process.

    tdp_watts: design power of all processors of the machine; None: the table's value per thread
    threads: hardware threads that share `tdp_watts`
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
        seconds: Callable[[], float] = host_usage.cpu_seconds,
    ):
        if tdp_watts is None:
            self.watts, self.assumption = cpu_watts_per_thread(host_usage.cpu_name())
        else:
            self.watts, self.assumption = (
                tdp_watts / threads,
                f"{tdp_watts:g} W / {threads} threads",
            )
        self._sigma, self._seconds = sigma, seconds
        self._start = seconds() if since is None else since

    def read(self) -> Sequence[Reading]:
        """One reading, "cpu"."""
        joules = self.watts * (self._seconds() - self._start)
        return [Reading("cpu", self.name, "modelled", self._sigma, joules)]

    def close(self) -> None:
        """Nothing to release."""


class RAMModel:
    """joules = watts per GB x resident memory x time; memory is read once a second at most.

    before: seconds of the process before now that count too; memory grew from zero during them
    """

    name, every = "model:ram", 0.0

    def __init__(
        self,
        *,
        watts_per_gb: float,
        sigma: float,
        before: float = 0.0,
        resident: Callable[[], int] = host_usage.resident_bytes,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.assumption = f"{watts_per_gb:g} W/GB of this process's resident memory"
        self._watts_per_byte, self._sigma = watts_per_gb / 1e9, sigma
        self._resident, self._clock = resident, clock
        self._last = self._memory_read_at = clock()
        self._bytes = resident()
        self._joules = self._watts_per_byte * self._bytes / 2 * before

    def read(self) -> Sequence[Reading]:
        """One reading, "ram"."""
        now = self._clock()
        if now - self._memory_read_at >= 1.0:
            # the mean of the old and the new size: memory grew somewhere in between
            new = self._resident()
            size, self._bytes, self._memory_read_at = (self._bytes + new) / 2, new, now
        else:
            size = self._bytes
        self._joules += self._watts_per_byte * size * (now - self._last)
        self._last = now
        return [Reading("ram", self.name, "modelled", self._sigma, self._joules)]

    def close(self) -> None:
        """Nothing to release."""


class AcceleratorModel:
    """joules = design power x load x time, for accelerators that no sensor can read.

    devices: {name of the device in the readings: its kind, as its driver calls it}
    load: assumed share of the design power that is drawn, mean over the run
    tdp_watts: per device; None: the table's value for its kind
    """

    name, every = "model:accelerator", 0.0

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
            device: (tdp_watts, f"{tdp_watts} W given") if tdp_watts else accelerator_watts(kind)
            for device, kind in devices.items()
        }
        self._watts = {device: watts * load for device, (watts, _) in known.items()}
        self.assumption = f"{'; '.join(sorted({s for _, s in known.values()}))} at load {load:g}"
        self._sigma, self._clock, self._start = sigma, clock, clock()

    def read(self) -> Sequence[Reading]:
        """One reading per device."""
        seconds = self._clock() - self._start
        return [
            Reading(device, self.name, "modelled", self._sigma, watts * seconds)
            for device, watts in self._watts.items()
        ]

    def close(self) -> None:
        """Nothing to release."""
