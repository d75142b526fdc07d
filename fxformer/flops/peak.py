"""Peak FLOP/s of devices, the denominator of MFU.

Accelerators: dense matrix products without sparsity, from the manufacturer's data sheet; float32
means what JAX computes for float32 matrices by default (TF32 on NVIDIA since Ampere, bfloat16
passes on TPU). CPUs: measured once and stored.
"""

import contextlib
import functools
import json
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from fxformer import jsonl
from fxformer.energy import host_usage
from fxformer.energy.accelerators import find_accelerator

SIZE, REPEATS = 1024, 12  # width of the matrices whose product is timed, and how often
LEFT_OUT = 3  # of the fastest of them
MAX_LOAD = 0.5  # load per core up to which a measurement is kept for good


def peak_flops(
    device: jax.Device,  # type: ignore[reportInvalidTypeForm]  # jaxlib has no stubs
    compute: str,
) -> tuple[float, str] | None:
    """(FLOP/s, source of the figure) of a device computing in `compute`; None: unknown."""
    if device.platform == "cpu":
        return measured(), f"measured: product of {SIZE} × {SIZE} matrices, all cores"
    found = find_accelerator(device.device_kind)
    single = compute == "float32"
    peak = found and (found.single_tflops if single else found.half_tflops)
    if found is None or peak is None:
        return None
    return 1e12 * peak, f"{compute} of {found.name}, {found.source}"


def mesh_peak(mesh: jax.sharding.Mesh, compute: str) -> tuple[float, str] | None:
    """(FLOP/s, source of the figure) of all devices of a mesh together; None: unknown.

    Simulated CPU devices share one processor.
    """
    devices = list(mesh.devices.flat)
    one = peak_flops(devices[0], compute)
    if one is None:
        return None
    return (one[0] if devices[0].platform == "cpu" else one[0] * len(devices)), one[1]


@functools.cache
def measured() -> float:
    """FLOP/s of float32 matrix products on this host: the best measurement, which is stored in the
    user's cache folder and repeated while the ones so far were taken under load."""
    key = f"{host_usage.cpu_name()}, {cores()} cores, jax {jax.__version__}"
    stored = _stored()
    before = stored.get(key, {})
    if before.get("load", 1.0) <= MAX_LOAD:
        return before["flops"]
    load = os.getloadavg()[0] / cores() if hasattr(os, "getloadavg") else 0.0
    best = max(_best(), before.get("flops", 0.0))
    with contextlib.suppress(OSError):  # without a writable home each process measures, 0.3 s
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        jsonl.replace(path, json.dumps(stored | {key: {"flops": best, "load": load}}, indent=1))
    return best


def cores() -> int:
    """Hardware threads this process may use."""
    mine = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(mine(0)) if mine else os.cpu_count() or 1


def _best() -> float:
    """FLOP/s of a fast one of several products: three are left out, since the clock of a virtual
    machine may jump. Takes about 0.3 s."""
    cpu = jax.devices("cpu")[0]
    x = jax.device_put(jnp.ones((SIZE, SIZE), jnp.float32), cpu)
    product = jax.jit(lambda a: a @ a).lower(x).compile()
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(product(x))
        seconds.append(time.perf_counter() - began)
    return 2 * SIZE**3 / sorted(seconds)[LEFT_OUT]


def _file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "fxformer/peak.json"


def _stored() -> dict[str, dict[str, float]]:
    """Stored measurements: {host, cores and jax version: {"flops": …, "load": per core}}."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
