"""What the figures were measured on: nothing that names a host or a person."""

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch", "transformers")


def facts() -> dict:
    """Processor, cores this process may use, load, Python and package versions."""
    mine = getattr(os, "sched_getaffinity", None)  # Linux only
    return {
        "cpu": _cpu(),
        "cores": len(mine(0)) if mine else os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
