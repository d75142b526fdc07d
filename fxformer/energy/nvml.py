"""NVML: energy counters of this process's NVIDIA GPUs, or their power where there is no counter.

Devices are identified by UUID, so the order of devices and the masks of processes do not matter.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from fxformer.energy.sensor import (
    IntegratedPower,
    MeteredProcess,
    Provenance,
    Register,
    Unreadable,
    UnreadableError,
    counter_step,
)

MAX_WATTS = 3000.0  # no board draws more


def open_library() -> Any:
    """The `pynvml` module, initialised. UnreadableError says what is missing."""
    try:
        import pynvml
    except ImportError as error:
        raise UnreadableError(
            Unreadable("nvml", "the Python binding is not installed", "pip install nvidia-ml-py")
        ) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        remedy = "needs an NVIDIA GPU and its driver (nvidia-smi must work)"
        raise UnreadableError(Unreadable("nvml", str(error), remedy)) from error
    return pynvml


def visible(library: Any, mask: str | None) -> dict[str, Any]:
    """{UUID: handle} of the GPUs that CUDA_VISIBLE_DEVICES lets this process see, in its order.

    mask: indices, UUIDs or their beginnings, comma separated; None: all. As CUDA does, what comes
    after the first entry that names nothing is invisible.
    """
    handles = [library.nvmlDeviceGetHandleByIndex(n) for n in range(library.nvmlDeviceGetCount())]
    every = {_text(library.nvmlDeviceGetUUID(handle)): handle for handle in handles}
    if mask is None:
        return every
    found: dict[str, Any] = {}
    for entry in (part.strip() for part in mask.split(",")):
        if entry.isdigit() and int(entry) < len(every):
            uuid = list(every)[int(entry)]
        else:
            matches = [u for u in every if entry and u.startswith(entry)]
            if len(matches) != 1:
                break
            uuid = matches[0]
        found[uuid] = every[uuid]
    return found


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # old bindings return bytes


def mig_refusal(mask: str | None) -> Unreadable | None:
    """Why a MIG slice cannot be metered: NVML counts only the whole board."""
    if mask and "MIG-" in mask:
        return Unreadable(
            "nvml",
            "a MIG slice has no energy counter of its own",
            "meter the whole board from one process, or accept the model",
        )
    return None


def _check_order(library: Any, mask: str | None) -> None:
    """UnreadableError where CUDA may count GPUs in another order than NVML: unlike ones, masked by
    number, with CUDA's default of the fastest first."""
    if not any(entry.strip().isdigit() for entry in (mask or "").split(",")):
        return
    count = range(library.nvmlDeviceGetCount())
    names = {library.nvmlDeviceGetName(library.nvmlDeviceGetHandleByIndex(n)) for n in count}
    if len(names) > 1 and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise UnreadableError(
            Unreadable(
                "nvml",
                f"CUDA_VISIBLE_DEVICES={mask} numbers unlike GPUs in an order of CUDA's own",
                "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name them by UUID (nvidia-smi -L)",
            )
        )


class NVMLCounter:
    """The millijoule counter of one whole board (Volta and later)."""

    name = "nvml"
    provenance: Provenance = "measured"
    sample_every: float | None = None
    step = staticmethod(counter_step)

    def __init__(self, library: Any, uuid: str, handle: Any, *, sigma: float, every: float):
        self.every, self.sigma, self._library, self._handle = every, sigma, library, handle
        self.key = f"gpu:{uuid}"
        self.registers: Mapping[str, Register] = {self.key: Register(self.key, MAX_WATTS)}
        self.raw()

    def raw(self) -> Mapping[str, float]:
        """Joules on the board's counter."""
        return {self.key: self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1e3}

    def update_use(self, processes: Sequence[MeteredProcess], state: dict) -> bool:
        """Utilisation of the board by process."""
        return add_utilisation(self._library, self._handle, processes, state)

    def close(self) -> None:
        """Leave NVML."""
        self._library.nvmlShutdown()


def add_utilisation(
    library: Any, handle: Any, processes: Sequence[MeteredProcess], state: dict
) -> bool:
    """Add to each process's `use` its utilisation samples since the last call; False where NVML has
    no samples, or only of other processes (in a container a process has another pid).

    state: {"last_sample": time of the last sample, in NVML's microseconds}
    """
    if len(processes) <= 1:
        state.clear()  # nothing to attribute; a process that joins begins with new samples
        return True
    first = "last_sample" not in state
    try:
        samples = library.nvmlDeviceGetProcessUtilization(handle, state.get("last_sample", 0))
    except getattr(library, "NVMLError_NotFound", ()):
        return True  # nobody has used it since
    except (library.NVMLError, AttributeError):
        return False
    last = state.get("last_sample", 0)
    state["last_sample"] = max((s.timeStamp for s in samples), default=last)
    if first:
        return True
    by_pid = {process.pid: process for process in processes}
    known = [sample for sample in samples if sample.pid in by_pid]
    for sample in known:
        by_pid[sample.pid].use += sample.smUtil
    return bool(known) or not any(sample.smUtil for sample in samples)


def open_gpus(
    *,
    sigma_counter: float,
    sigma_power: float,
    every: float,
    power_every: float,
    library: Any = None,
    mask: str | None = None,
) -> tuple[list[NVMLCounter | IntegratedPower], dict[str, str]]:
    """A counter for each GPU of this process, and {device: kind}. UnreadableError: there is none.

    mask: in place of CUDA_VISIBLE_DEVICES; None: read it from the environment
    """
    library = library or open_library()
    mask = os.environ.get("CUDA_VISIBLE_DEVICES") if mask is None else mask
    refusal = mig_refusal(mask)
    if refusal:
        raise UnreadableError(refusal)
    _check_order(library, mask)
    handles = visible(library, mask)
    if not handles:
        raise UnreadableError(
            Unreadable(
                "nvml",
                f"no GPU visible (CUDA_VISIBLE_DEVICES={mask!r})",
                "name one that nvidia-smi -L lists",
            )
        )
    kinds = {f"gpu:{u}": _text(library.nvmlDeviceGetName(h)) for u, h in handles.items()}
    counters: list[NVMLCounter | IntegratedPower] = []
    try:
        for uuid, handle in handles.items():
            if has_counter(library, handle):
                counters.append(
                    NVMLCounter(library, uuid, handle, sigma=sigma_counter, every=every)
                )
            else:
                counters.append(
                    IntegratedPower(
                        "nvml:power",
                        power_of(library, {uuid: handle}),
                        seconds=power_every,
                        sigma=sigma_power,
                        max_watts=MAX_WATTS,
                        update_use=partial(add_utilisation, library, handle),
                    )
                )
    except library.NVMLError as error:
        remedy = "see nvidia-smi -q -d POWER"
        raise UnreadableError(Unreadable("nvml", str(error), remedy)) from error
    return counters, kinds


def has_counter(library: Any, handle: Any) -> bool:
    """Whether a GPU counts its energy (Volta and later)."""
    try:
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except library.NVMLError:
        return False
    return True


def power_of(library: Any, handles: dict[str, Any]):
    """A function that returns the present power, {device: W}."""
    read = library.nvmlDeviceGetPowerUsage  # milliwatts
    return lambda: {f"gpu:{uuid}": read(handle) / 1e3 for uuid, handle in handles.items()}
