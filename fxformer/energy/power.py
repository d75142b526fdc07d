"""Joules from watts: a thread samples power and sums it by trapezoids, where no counter exists."""

import threading
import time
from collections.abc import Callable, Sequence

from fxformer.energy.source import Reading


class IntegratedPower:
    """joules(t) = integral of watts. One daemon thread; the sampled function decides the devices.

    watts: the power of each device now, {device: W}; what it raises, `read` raises
    seconds: between two samples
    """

    def __init__(
        self,
        name: str,
        watts: Callable[[], dict[str, float]],
        *,
        seconds: float,
        sigma: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.name, self._watts, self._sigma, self._clock = name, watts, sigma, clock
        self.every = seconds  # a read takes a sample too
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._error: Exception | None = None
        self._then, self._before = clock(), watts()
        self._joules = dict.fromkeys(self._before, 0.0)
        self.devices = list(self._joules)
        self._thread = threading.Thread(target=self._run, args=(seconds,), daemon=True, name=name)
        self._thread.start()

    def _run(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            self.sample()

    def sample(self) -> None:
        """Take one sample now."""
        with self._lock:
            if self._error is not None:
                return
            try:
                now, watts = self._clock(), self._watts()
            except Exception as error:  # noqa: BLE001 - handed to the reader
                self._error = error
                return
            for device, value in watts.items():
                mean = (value + self._before.get(device, value)) / 2
                self._joules[device] = self._joules.get(device, 0.0) + mean * (now - self._then)
            self._then, self._before = now, watts

    def read(self) -> Sequence[Reading]:
        """One reading per device, up to now. Raises what sampling has raised."""
        self.sample()
        with self._lock:
            if self._error is not None:
                raise self._error
            return [Reading(device, self.name, "integrated", self._sigma, joules)
                    for device, joules in self._joules.items()]

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join(timeout=2)
