"""Energy sensors: readings in joules, counters of whole devices, power integrated over time."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

Provenance = Literal["measured", "integrated", "modelled"]
SLACK_SECONDS = 1.0  # seconds at full power by which a reading may be late


@dataclasses.dataclass(frozen=True)
class Reading:
    """Joules of one device since its sensor was opened.

    device: "cpu", "ram", "gpu:<uuid>" …
    sensor: name of the sensor; readings of one sensor share their error, those of two do not
    provenance: measured by a counter, integrated from power samples, or modelled
    sigma: one standard deviation, relative to the joules
    """

    device: str
    sensor: str
    provenance: Provenance
    sigma: float
    joules: float


class Sensor(Protocol):
    """A source of cumulative joules. `read` may raise: the meter then drops the sensor.

    every: minimum number of seconds between two reads (0: a read costs microseconds)
    """

    name: str
    every: float

    def read(self) -> Sequence[Reading]:
        """Cumulative readings; never decreasing per (device, sensor, provenance)."""
        ...

    def close(self) -> None:
        """Release files, handles and threads."""
        ...


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """A sensor that could not be read: its name, the reason, and what would make it readable."""

    name: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}; {self.remedy}"


class UnreadableError(RuntimeError):
    """Raised when a sensor that cannot be read is opened; carries the `Unreadable`."""

    def __init__(self, what: Unreadable):
        super().__init__(str(what))
        self.what = what


class ImplausibleError(ValueError):
    """Two readings that no device can have made; the message says why."""


@dataclasses.dataclass(frozen=True)
class Register:
    """One register of a counter.

    device: whose energy it counts; several registers may belong to one device
    max_watts: more than the device can ever draw
    wraps_at: joules after which it starts again at zero; None: it does not
    """

    device: str
    max_watts: float
    wraps_at: float | None = None


@dataclasses.dataclass
class MeteredProcess:
    """A process that meters a counter.

    start: of the process, in clock ticks since boot; 0: unknown
    use: what it has used of the device so far, in the unit of the counter's `update_use`
    """

    pid: int
    start: int
    use: float


class Counter(Protocol):
    """A counter of a whole device, which knows nothing of processes; see `SharedCounter`.

    key: identifies it on this machine
    every, sample_every: minimum seconds between two readings; interval of a sampling thread, None:
        readings may be any time apart
    """

    name: str
    key: str
    every: float
    sample_every: float | None
    sigma: float
    provenance: Provenance
    registers: Mapping[str, Register]

    def raw(self) -> Mapping[str, float]:
        """The present value of each register. Raises any error of the device."""
        ...

    def step(self, register: Register, before: float, now: float, seconds: float) -> float:
        """Joules between two readings. ImplausibleError: the readings cannot be right."""
        ...

    def update_use(self, processes: Sequence[MeteredProcess], state: dict) -> bool:
        """Bring `use` of the processes up to date; False where their use cannot be read.
        state: what the counter stores between calls, plain JSON values."""
        ...

    def close(self) -> None:
        """Release files and handles."""
        ...


def counter_step(register: Register, before: float, now: float, seconds: float) -> float:
    """Joules between two readings of a counter that only rises, and wraps at `wraps_at`.

    A step of more than elapsed time x maximum power, or below zero, is a reset of the counter or a
    wrong reading: ImplausibleError says which.
    """
    most = register.max_watts * (seconds + SLACK_SECONDS)
    step = now - before
    if step < 0 and register.wraps_at is not None:
        step += register.wraps_at
    if not math.isfinite(step) or step < 0 or step > most:
        raise ImplausibleError(f"it went from {before:.10g} J to {now:.10g} J in {seconds:.3g} s")
    if register.wraps_at is not None and register.max_watts * seconds >= register.wraps_at:
        raise ImplausibleError(f"it was not read for {seconds:.0f} s and may have wrapped twice")
    return step


class IntegratedPower:
    """Power samples integrated by the trapezoid rule, as a `Counter`; `SharedCounter` samples it
    in a thread.

    watts: reads the present power of each device, {device: W}
    max_watts: maximum power of a device
    seconds: sampling interval
    update_use: as of `Counter`; None: the use by process cannot be read
    """

    provenance: Provenance = "integrated"
    sample_every: float | None

    def __init__(
        self,
        name: str,
        watts: Callable[[], Mapping[str, float]],
        *,
        seconds: float,
        sigma: float,
        max_watts: float = math.inf,
        update_use: Callable[[Sequence[MeteredProcess], dict], bool] | None = None,
    ):
        self.name, self.raw, self.sigma, self._update_use = name, watts, sigma, update_use
        self.every, self.sample_every = seconds, seconds
        self.registers: Mapping[str, Register] = {
            device: Register(device, max_watts) for device in watts()
        }
        self.key = f"{name}:{'+'.join(self.registers)}"

    def step(self, register: Register, before: float, now: float, seconds: float) -> float:
        """The trapezoid between two samples. ImplausibleError: a sample is no power."""
        for value in (before, now):
            if not (math.isfinite(value) and 0 <= value <= register.max_watts):
                raise ImplausibleError(f"its power is {value:.4g} W")
        return (before + now) / 2 * seconds

    def update_use(self, processes: Sequence[MeteredProcess], state: dict) -> bool:
        """Use of the device by each process."""
        return self._update_use is not None and self._update_use(processes, state)

    def close(self) -> None:
        """Nothing to release."""
