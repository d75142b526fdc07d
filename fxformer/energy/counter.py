"""What a hardware counter is, and which of the steps between its readings can be believed."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from fxformer.energy.sensor import Provenance

SLACK = 1.0  # seconds at full power that a reading may be late by


@dataclasses.dataclass(frozen=True)
class Part:
    """One register of a counter.

    device: whose energy it counts; several parts may be of one device
    watts: more than the device can ever draw
    span: joules after which it starts again at zero; None: it does not
    """

    device: str
    watts: float
    span: float | None = None


@dataclasses.dataclass
class Member:
    """A process that meters a counter. start: of the process, in ticks since the boot, 0: unknown
    use: what it has used of the device so far, in the unit of the counter's `use`."""

    pid: int
    start: int
    use: float


class Counter(Protocol):
    """A counter of a whole device, which knows nothing of processes.

    key: names it on this machine
    every, sample_every: seconds between two readings at least; between two that a thread makes,
        None: readings may be as far apart as they come
    """

    name: str
    key: str
    every: float
    sample_every: float | None
    sigma: float
    provenance: Provenance
    parts: Mapping[str, Part]

    def raw(self) -> Mapping[str, float]:
        """What each part shows now. Raises whatever goes wrong."""
        ...

    def step(self, part: Part, before: float, now: float, seconds: float) -> float:
        """Joules between two readings. ImplausibleError: they cannot be right."""
        ...

    def use(self, members: Sequence[Member], state: dict) -> bool:
        """Bring `use` of the members up to date; False where nothing tells what they use.
        state: what the counter wants to remember, plain JSON values."""
        ...

    def close(self) -> None:
        """Let go of files and handles."""
        ...


class ImplausibleError(ValueError):
    """Two readings that no device can have made; says why."""


def gain(part: Part, before: float, now: float, seconds: float) -> float:
    """Joules between two readings of a counter that only rises, and wraps at `part.span`.

    No more than elapsed time x maximum power is believed: what is more, or negative, is a reset of
    the counter or a broken reading. ImplausibleError says which.
    """
    most = part.watts * (seconds + SLACK)
    step = now - before
    if step < 0 and part.span is not None:
        step += part.span
    if not math.isfinite(step) or step < 0 or step > most:
        raise ImplausibleError(f"it went from {before:.10g} J to {now:.10g} J in {seconds:.3g} s")
    if part.span is not None and part.watts * seconds >= part.span:
        raise ImplausibleError(f"it was not read for {seconds:.0f} s and may have wrapped twice")
    return step
