"""Fake clock, set by the test, and fake sensors."""

from fxformer.energy.sensor import Reading


class Clock:
    """Seconds since the start; `go` advances it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def go(self, seconds):
        """Let `seconds` pass."""
        self.now += seconds


class Steady:
    """A device that draws constant watts; `dies_at` seconds it fails."""

    def __init__(
        self,
        clock,
        watts,
        *,
        name="fake",
        device="cpu",
        sigma=0.1,
        provenance="measured",
        every=0.0,
        dies_at=float("inf"),
    ):
        self.name, self.every, self.watts, self.clock = name, every, watts, clock
        self.device, self.sigma, self.provenance = device, sigma, provenance
        self.dies_at, self.start, self.reads, self.closed = dies_at, clock(), 0, False

    def read(self):
        self.reads += 1
        if self.clock() >= self.dies_at:
            raise OSError("counter gone")
        joules = self.watts * (self.clock() - self.start)
        return [Reading(self.device, self.name, self.provenance, self.sigma, joules)]

    def close(self):
        self.closed = True
