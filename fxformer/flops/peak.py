"""The most FLOP/s a device can make: what a share of it, the MFU, is measured against.

Accelerators: dense matrix products, no sparsity, as the makers state them; float32 is what JAX does
with float32 matrices unless told otherwise (TF32 on NVIDIA since Ampere, bfloat16 passes on TPU).
Processors: measured once.
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

SIZE, TRIES = 1024, 12  # of the matrices whose product is timed
QUIET = 0.5  # load of a core under which a measurement is believed for good


def peak_flops(device: jax.Device, compute: str) -> tuple[float, str] | None:
    """(FLOP/s, where that is from) of a device computing in `compute`; None: it is not known."""
    if device.platform == "cpu":
        return measured(), f"measured: product of {SIZE} × {SIZE} matrices, all cores"
    found = find_accelerator(device.device_kind)
    single = compute == "float32"
    peak = found and (found.single_tflops if single else found.half_tflops)
    return None if peak is None else (1e12 * peak, f"{compute} of {found.name}, {found.source}")


def mesh_peak(mesh: jax.sharding.Mesh, compute: str) -> tuple[float, str] | None:
    """FLOP/s of all devices of a mesh together, and where that is from; None: it is not known.
    Simulated CPU devices share one processor."""
    devices = list(mesh.devices.flat)
    one = peak_flops(devices[0], compute)
    if one is None:
        return None
    return (one[0] if devices[0].platform == "cpu" else one[0] * len(devices)), one[1]


@functools.cache
def measured() -> float:
    """FLOP/s of float32 matrix products on this host: measured once and kept on disk, and measured
    again where that was while the machine was busy; the best of all counts."""
    key = f"{host_usage.cpu_name()}, {cores()} cores, jax {jax.__version__}"
    kept = _kept()
    before = kept.get(key, {})
    if before.get("load", 1.0) <= QUIET:
        return before["flops"]
    load = os.getloadavg()[0] / cores() if hasattr(os, "getloadavg") else 0.0
    best = max(_best(), before.get("flops", 0.0))
    with contextlib.suppress(OSError):  # a home that cannot be written costs 0.3 s a process
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        jsonl.replace(path, json.dumps(kept | {key: {"flops": best, "load": load}}, indent=1))
    return best


def cores() -> int:
    """Hardware threads this process may use."""
    mine = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(mine(0)) if mine else os.cpu_count() or 1


def _best() -> float:
    """FLOP/s of the best of some products. Takes about 0.3 s."""
    cpu = jax.devices("cpu")[0]
    x = jax.device_put(jnp.ones((SIZE, SIZE), jnp.float32), cpu)
    product = jax.jit(lambda a: a @ a).lower(x).compile()
    seconds = []
    for _ in range(TRIES):
        began = time.perf_counter()
        jax.block_until_ready(product(x))
        seconds.append(time.perf_counter() - began)
    return 2 * SIZE**3 / min(seconds)


def _file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "fxformer/peak.json"


def _kept() -> dict[str, dict[str, float]]:
    """{host and cores: FLOP/s, and the load of each core when it was measured}."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
