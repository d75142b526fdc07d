"""The most FLOP/s a device can make: what a share of it, the MFU, is measured against.

Accelerators: dense matrix products, no sparsity, as the makers state them; float32 is what JAX does
with float32 matrices unless told otherwise (TF32 on NVIDIA since Ampere, bfloat16 passes on TPU).
Processors: measured once.
"""

import functools
import time

import jax
import jax.numpy as jnp

from fxformer.energy.tdp import match

# TFLOP/s: (bfloat16 or float16, float32). NVIDIA data sheets; Google Cloud TPU documentation.
CHIP_PEAK = {
    "GB200": (2500, 1250),
    "B200": (2250, 1125),
    "GH200": (989, 494),
    "H200": (989, 494),
    "H100 PCIe": (756, 378),
    "H100": (989, 494),
    "A100": (312, 156),
    "V100": (125, 15.7),
    "RTX A6000": (155, 77),
    "RTX 6000 Ada": (364, 182),
    "L40S": (362, 183),
    "L4": (121, 60),
    "T4": (65, 8.1),
    "A10": (125, 62),
    "RTX 4090": (165, 82.6),
    "RTX 3090": (71, 35.6),
    "TPU v2": (45, 45),
    "TPU v3": (123, 123),
    "TPU v4": (275, 275),
    "TPU v5 lite": (197, 197),
    "TPU v5e": (197, 197),
    "TPU v5": (459, 459),
    "TPU v5p": (459, 459),
    "TPU v6 lite": (918, 918),
    "TPU v6e": (918, 918),
}
SIZE, TRIES = 1024, 12  # of the matrices whose product is timed


def peak_flops(device: jax.Device, compute: str) -> tuple[float, str] | None:
    """(FLOP/s, where that is from) of a device computing in `compute`; None: it is not known."""
    if device.platform == "cpu":
        return measured(), f"measured: product of {SIZE} × {SIZE} matrices, all cores"
    key = match(CHIP_PEAK, device.device_kind)
    if key is None:
        return None
    narrow, wide = CHIP_PEAK[key]
    return 1e12 * (wide if compute == "float32" else narrow), f"{compute} of {key}, data sheet"


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
    """FLOP/s of the best of some products of float32 matrices on this host. Takes about 0.3 s."""
    cpu = jax.devices("cpu")[0]
    x = jax.device_put(jnp.ones((SIZE, SIZE), jnp.float32), cpu)
    product = jax.jit(lambda a: a @ a).lower(x).compile()
    seconds = []
    for _ in range(TRIES):
        began = time.perf_counter()
        jax.block_until_ready(product(x))
        seconds.append(time.perf_counter() - began)
    return 2 * SIZE**3 / min(seconds)
