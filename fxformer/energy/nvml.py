"""NVML: the energy counters of this process's NVIDIA GPUs, or their power where there is none.

Devices are known by UUID, so neither a reordering nor another process's mask can mix them up.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from fxformer.energy.counter import Member, Part, gain
from fxformer.energy.power import IntegratedPower
from fxformer.energy.sensor import Provenance, Unreadable, UnreadableError

WATTS = 3000.0  # no board draws more


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
    seen: dict[str, Any] = {}
    for entry in (part.strip() for part in mask.split(",")):
        if entry.isdigit() and int(entry) < len(every):
            uuid = list(every)[int(entry)]
        else:
            matches = [u for u in every if entry and u.startswith(entry)]
            if len(matches) != 1:
                break
            uuid = matches[0]
        seen[uuid] = every[uuid]
    return seen


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # old bindings answer in bytes


def mig_refusal(mask: str | None) -> Unreadable | None:
    """Why a MIG slice cannot be metered: NVML counts the whole board it is cut from."""
    if mask and "MIG-" in mask:
        return Unreadable(
            "nvml",
            "a MIG slice has no energy counter of its own",
            "meter the whole board from one process, or accept the model",
        )
    return None


def _in_order(library: Any, mask: str | None) -> None:
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
    sample_every = None
    step = staticmethod(gain)

    def __init__(self, library: Any, uuid: str, handle: Any, *, sigma: float, every: float):
        self.every, self.sigma, self._library, self._handle = every, sigma, library, handle
        self.key = f"gpu:{uuid}"
        self.parts = {self.key: Part(self.key, WATTS)}
        self.raw()

    def raw(self) -> Mapping[str, float]:
        """Joules that the board shows."""
        return {self.key: self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1e3}

    def use(self, members: Sequence[Member], state: dict) -> bool:
        """Utilisation of the board by process."""
        return utilisation(self._library, self._handle, members, state)

    def close(self) -> None:
        """Leave NVML."""
        self._library.nvmlShutdown()


def utilisation(library: Any, handle: Any, members: Sequence[Member], state: dict) -> bool:
    """Add to the members' `use` the utilisation samples since the last call; False where NVML does
    not tell them, or only of processes that are none of the members (seen from a container, a
    process has another number).

    state: {"seen": time of the last sample, in NVML's microseconds}
    """
    if len(members) <= 1:
        state.clear()  # nothing is to be divided; whoever joins begins with samples of its own
        return True
    first = "seen" not in state
    try:
        samples = library.nvmlDeviceGetProcessUtilization(handle, state.get("seen", 0))
    except getattr(library, "NVMLError_NotFound", ()):
        return True  # nobody has used it since
    except (library.NVMLError, AttributeError):
        return False
    state["seen"] = max((s.timeStamp for s in samples), default=state.get("seen", 0))
    if first:
        return True
    by_pid = {member.pid: member for member in members}
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
    """A source for each GPU of this process, and {device: kind}. UnreadableError: there is none.

    mask: what CUDA_VISIBLE_DEVICES says; None: look it up
    """
    library = library or open_library()
    mask = os.environ.get("CUDA_VISIBLE_DEVICES") if mask is None else mask
    refusal = mig_refusal(mask)
    if refusal:
        raise UnreadableError(refusal)
    _in_order(library, mask)
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
    sources: list[NVMLCounter | IntegratedPower] = []
    try:
        for uuid, handle in handles.items():
            if has_counter(library, handle):
                sources.append(NVMLCounter(library, uuid, handle, sigma=sigma_counter, every=every))
            else:
                sources.append(
                    IntegratedPower(
                        "nvml:power",
                        power_of(library, {uuid: handle}),
                        seconds=power_every,
                        sigma=sigma_power,
                        most=WATTS,
                        use=partial(utilisation, library, handle),
                    )
                )
    except library.NVMLError as error:
        remedy = "see nvidia-smi -q -d POWER"
        raise UnreadableError(Unreadable("nvml", str(error), remedy)) from error
    return sources, kinds


def has_counter(library: Any, handle: Any) -> bool:
    """Whether a GPU counts its energy (Volta and later)."""
    try:
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except library.NVMLError:
        return False
    return True


def power_of(library: Any, handles: dict[str, Any]):
    """The function that tells {device: watts now}."""
    ask = library.nvmlDeviceGetPowerUsage  # milliwatts
    return lambda: {f"gpu:{uuid}": ask(handle) / 1e3 for uuid, handle in handles.items()}
