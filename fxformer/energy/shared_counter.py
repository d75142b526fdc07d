"""A machine's counter, shared by the processes that meter it: sum of their parts = counter.

The protocol. All processes that meter a counter share one `MachineState`. Whichever process reads
the counter, at any time, does so with the state locked: it takes the joules since the last reading
by any process and adds to each process its part, in proportion to what each has used of the device
since then: processor seconds for a host's counter, process utilisation for a GPU's. Where nobody
used the device (idle power) or the use cannot be read, the parts are equal; in the latter case they
are also reported as not attributable. A process takes its part at its own next reading. So each
joule that the counter counts while processes meter it goes to exactly one of them. What a killed
process has not taken is attributed to the others.

A reading that fails or does not move leaves its interval open for the next one. An interval that
stays open for `attribution.GAP_SECONDS`, and a step that cannot be right, are gaps: in a gap each
process counts by its fallback sensor, the TDP model. Afterwards the counter counts again.
"""

import contextlib
import dataclasses
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fxformer.energy.attribution import Attribution
from fxformer.energy.machine_state import BusyError, MachineState
from fxformer.energy.sensor import Counter, Reading, Sensor, Unreadable


class SharedCounter:
    """This process's part of a counter, as a `Sensor`.

    fallbacks: {device: the sensor that counts it in a gap}
    startup: the fallbacks count from the start of the process: what they have by now counts too
    folder: of the shared state; None: this process shares with no other
    """

    def __init__(
        self,
        counter: Counter,
        fallbacks: Mapping[str, Sensor],
        *,
        folder: Path | None,
        startup: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.name, self.every = counter.name, counter.every
        self._counter, self._fallbacks, self._clock = counter, fallbacks, clock
        path = None if folder is None else folder / counter.key.replace("/", "-")
        self._state = MachineState(path)
        self._id, self._lock, self._stop = uuid.uuid4().hex, threading.Lock(), threading.Event()
        registers = counter.registers.values()
        self.devices = list(dict.fromkeys(register.device for register in registers))
        self.unattributed: dict[str, float] = {}
        self._joules = dict.fromkeys(self.devices, 0.0)
        self._fallback_before = self._read_fallbacks()  # at the times of `_settled_at`
        self._settled_at = dict.fromkeys(self.devices, clock())
        self._modelled = {k: r.joules for k, r in self._fallback_before.items() if startup}
        self._gaps: dict[str, tuple[str, float]] = {}
        self._join()
        if counter.sample_every is not None:
            threading.Thread(target=self._run, args=(counter.sample_every,), daemon=True).start()

    @property
    def problems(self) -> list[Unreadable]:
        """Gaps, equal splits and failed sharing so far."""
        found = [
            Unreadable(
                f"{self.name} ({device})",
                f"was not counted for {seconds:.3g} s: {why}",
                f"{_name(self._fallbacks, device)} counts that time",
            )
            for device, (why, seconds) in self._gaps.items()
        ]
        found += [
            Unreadable(
                f"{self.name} ({device})",
                f"is used by several processes and the use by each cannot be read: {joules:.4g} J "
                "are an equal split and not attributable",
                "give each process a device of its own",
            )
            for device, joules in self.unattributed.items()
        ]
        return found if self._not_shared is None else [*found, self._not_shared]

    def read(self) -> Sequence[Reading]:
        """Joules of this process since its start: measured, and modelled in gaps."""
        self.sample()
        with self._lock:
            measured = [
                Reading(device, self.name, self._counter.provenance, self._counter.sigma, joules)
                for device, joules in self._joules.items()
            ]
            return measured + [
                dataclasses.replace(self._fallback_before[key], joules=joules)
                for key, joules in self._modelled.items() if joules
            ]  # fmt: skip

    def sample(self) -> None:
        """Read the counter now, attribute the step, take this process's part."""
        with self._lock, contextlib.suppress(BusyError):  # then the next reading attributes it
            self._settle()

    def close(self) -> None:
        """Leave the shared state to the others and close the counter."""
        self._stop.set()
        with self._lock, contextlib.suppress(OSError), self._state.change() as state:
            Attribution(state, self._id, self._counter, self._clock()).leave()
        for sensor in (self._counter, *self._fallbacks.values()):
            sensor.close()

    def _join(self) -> None:
        self._not_shared: Unreadable | None = None
        try:
            self._settle()
        except (OSError, ImportError) as error:  # no shared file: count alone
            self._state = MachineState(None)
            self._not_shared = Unreadable(
                self.name,
                f"cannot be shared ({error})",
                "other processes of this machine count it again",
            )
            self._settle()

    def _run(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            with contextlib.suppress(OSError):
                self.sample()

    def _settle(self) -> None:
        now = self._clock()
        with self._state.change() as state:
            attribution = Attribution(state, self._id, self._counter, now)
            own = attribution.settle()
        fallbacks = self._read_fallbacks()
        for device, joules in own["joules"].items():
            self._joules[device] = self._joules.get(device, 0.0) + joules
        for device, joules in own["unattributed"].items():
            self.unattributed[device] = self.unattributed.get(device, 0.0) + joules
        for device, (why, seconds) in own["gaps"].items():
            self._fill_gap(device, why, seconds, fallbacks, now)
        for device in attribution.settled_devices():
            self._settled_at[device] = now
            self._fallback_before |= {k: r for k, r in fallbacks.items() if k[0] == device}

    def _fill_gap(
        self, device: str, why: str, seconds: float, fallbacks: Mapping, now: float
    ) -> None:
        """Count the seconds of a gap by the fallback sensors."""
        span = now - self._settled_at[device]
        share = min(seconds / span, 1.0) if span > 0 else 1.0
        self._gaps[device] = (why, self._gaps.get(device, ("", 0.0))[1] + share * span)
        for key, reading in fallbacks.items():
            if key[0] == device:
                more = share * (reading.joules - self._fallback_before[key].joules)
                self._modelled[key] = self._modelled.get(key, 0.0) + more

    def _read_fallbacks(self) -> dict[tuple[str, str], Reading]:
        return {(r.device, r.sensor): r for one in self._fallbacks.values() for r in one.read()}


def _name(fallbacks: Mapping[str, Sensor], device: str) -> str:
    return fallbacks[device].name if device in fallbacks else "nothing"
