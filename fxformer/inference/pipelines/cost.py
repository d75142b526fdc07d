"""Energy of answers: a meter for a pipeline, and joules per request with their interval."""

import dataclasses

import jax

from fxformer.energy.config import AutoEnergy
from fxformer.energy.meter import Meter

Z95 = 1.959964  # standard deviations of a two-sided 95 % interval


@dataclasses.dataclass(frozen=True)
class RequestCost:
    """Energy and time of a request on average.

    joules: of one request; low, high: its 95 % interval by the errors of the sensors
    milliseconds: of one request
    provenance: measured, integrated or modelled, with shares
    """

    requests: int
    joules: float
    low: float
    high: float
    milliseconds: float
    provenance: str

    def __str__(self) -> str:
        return (
            f"{self.requests:,} requests: {self.joules:.3g} J each "
            f"(95 % interval {self.low:.3g} to {self.high:.3g} J, {self.provenance}), "
            f"{self.milliseconds:.3g} ms each"
        )


def open_meter() -> Meter:
    """A running meter of this process with the best available sensors."""
    kinds = [device.device_kind for device in jax.local_devices() if device.platform != "cpu"]
    return AutoEnergy().open(accelerators=kinds)


def request_cost(meter: Meter, requests: int) -> RequestCost | None:
    """Cost of a request from all joules and seconds of the meter's phase "generate"; None before
    the first request."""
    totals = meter.own()
    spent = totals.by("phase").get("generate")
    if not requests or spent is None:
        return None
    each, sigma = spent.joules / requests, spent.sigma / requests
    milliseconds = 1e3 * totals.seconds.get("generate", 0.0) / requests
    low = max(0.0, each - Z95 * sigma)
    return RequestCost(requests, each, low, each + Z95 * sigma, milliseconds, spent.provenance)
