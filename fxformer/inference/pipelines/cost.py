"""Energy of answers: a meter for a pipeline, joules per request, with and without compilation."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import jax

from fxformer.energy.config import AutoEnergy
from fxformer.energy.meter import Meter
from fxformer.inference.compile_time import compile_seconds

Z95 = 1.959964  # standard deviations of a two-sided 95 % interval


@dataclasses.dataclass
class Spent:
    """Energy and time of a group of rows.

    joules, seconds: all; compile_joules, compile_seconds: of them, for compiling programs: the
        seconds are measured, and the joules are the same share of all as the seconds
    """

    joules: float = 0.0
    seconds: float = 0.0
    compile_joules: float = 0.0
    compile_seconds: float = 0.0

    def share(self, part: float) -> dict[str, float]:
        """Fields of `Answer` of a row to which this part is charged."""
        return {
            "joules": self.joules * part,
            "milliseconds": 1e3 * self.seconds * part,
            "compile_joules": self.compile_joules * part,
            "compile_milliseconds": 1e3 * self.compile_seconds * part,
        }


@contextlib.contextmanager
def charged(meter: Meter | None, phase: str = "generate") -> Iterator[Spent]:
    """What is spent inside, known at the end; nothing without a meter."""
    spent = Spent()
    if meter is None:
        yield spent
        return
    joules, compiled, began = meter.own().joules, compile_seconds(), time.perf_counter()
    with meter.phase(phase):
        yield spent
    spent.joules, spent.seconds = meter.own().joules - joules, time.perf_counter() - began
    spent.compile_seconds = min(compile_seconds() - compiled, spent.seconds)
    spent.compile_joules = spent.joules * spent.compile_seconds / max(spent.seconds, 1e-9)


@dataclasses.dataclass(frozen=True)
class RequestCost:
    """Energy and time of a request on average.

    joules: of one request; low, high: its 95 % interval by the errors of the sensors
    milliseconds: of one request
    computing_joules, computing_milliseconds: of them without compilation
    provenance: measured, integrated or modelled, with shares
    """

    requests: int
    joules: float
    low: float
    high: float
    milliseconds: float
    computing_joules: float
    computing_milliseconds: float
    provenance: str

    def __str__(self) -> str:
        return (
            f"{self.requests:,} requests: {self.joules:.3g} J each "
            f"(95 % interval {self.low:.3g} to {self.high:.3g} J, {self.provenance}), "
            f"{self.milliseconds:.3g} ms each; without compilation {self.computing_joules:.3g} J "
            f"(by its share of the time), {self.computing_milliseconds:.3g} ms"
        )


def open_meter() -> Meter:
    """A running meter of this process with the best available sensors."""
    kinds = [device.device_kind for device in jax.local_devices() if device.platform != "cpu"]
    return AutoEnergy().open(accelerators=kinds)


def request_cost(meter: Meter, requests: int, compiling: float) -> RequestCost | None:
    """Cost of a request from all joules and seconds of the meter's phase "generate"; None before
    the first request.

    compiling: seconds of compilation in that phase
    """
    totals = meter.own()
    spent = totals.by("phase").get("generate")
    if not requests or spent is None:
        return None
    each, sigma = spent.joules / requests, spent.sigma / requests
    seconds = totals.seconds.get("generate", 0.0)
    computing = max(0.0, 1 - compiling / seconds) if seconds else 1.0
    milliseconds = 1e3 * seconds / requests
    return RequestCost(
        requests,
        each,
        max(0.0, each - Z95 * sigma),
        each + Z95 * sigma,
        milliseconds,
        each * computing,
        milliseconds * computing,
        spent.provenance,
    )
