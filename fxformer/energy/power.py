"""Joules from watts: samples of power, integrated by trapezoids, where no counter exists."""

import math
from collections.abc import Callable, Mapping, Sequence

from fxformer.energy.counter import ImplausibleError, Member, Part
from fxformer.energy.sensor import Provenance


class IntegratedPower:
    """joules(t) = integral of watts. `Shared` samples it in a thread.

    watts: the power of each device now, {device: W}
    most: watts that a device can draw
    seconds: between two samples
    use: as of `Counter`; None: nothing tells what processes use of the device
    """

    provenance: Provenance = "integrated"

    def __init__(
        self,
        name: str,
        watts: Callable[[], Mapping[str, float]],
        *,
        seconds: float,
        sigma: float,
        most: float = math.inf,
        use: Callable[[Sequence[Member], dict], bool] | None = None,
    ):
        self.name, self.raw, self.sigma, self._use = name, watts, sigma, use
        self.every = self.sample_every = seconds
        self.parts = {device: Part(device, most) for device in watts()}
        self.key = f"{name}:{'+'.join(self.parts)}"

    def step(self, part: Part, before: float, now: float, seconds: float) -> float:
        """The trapezoid between two samples. ImplausibleError: a sample is no power."""
        for value in (before, now):
            if not (math.isfinite(value) and 0 <= value <= part.watts):
                raise ImplausibleError(f"its power is {value:.4g} W")
        return (before + now) / 2 * seconds

    def use(self, members: Sequence[Member], state: dict) -> bool:
        """What the members use of the device."""
        return self._use is not None and self._use(members, state)

    def close(self) -> None:
        """Nothing is held open."""
