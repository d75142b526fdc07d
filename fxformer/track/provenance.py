"""What a result depends on beside the config: code, versions, machine."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fxformer.config.packages import folder, version
from fxformer.energy.host_usage import cpu_name
from fxformer.errors import UserError

_PACKAGES = (
    "fxformer",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "hydra-core",
    "omegaconf",
    "sentencepiece",
    "tokenizers",
    "grain",
    "safetensors",
    "wandb",
    "tensorboardX",
)


def gather(extensions: Sequence[str] = ()) -> dict[str, Any]:
    """Code, versions and machine, for run.json; what is unknown is None. Never raises.

    extensions: the names of the extension packages that the config uses. Devices are not included:
    asking JAX for them would initialise it, so the caller adds them.
    """
    return {
        "code": code(Path(__file__).parents[1]),
        "packages": packages(),
        "extensions": {name: extension(name) for name in extensions},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": {"cpu": cpu_name(), "threads": os.cpu_count(), "memory_gb": _memory_gb()},
        "allocator": os.environ.get("GLIBC_TUNABLES"),
    }


def code(package: Path) -> dict[str, Any]:
    """The git commit of `package` and whether files differ from it; None outside a repository that
    holds it (a package installed into a virtual environment inside some repository is not held)."""
    nothing = {"commit": None, "dirty": None}
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return nothing
    commit = _git(package, "rev-parse", "HEAD")
    status = _git(package, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def extension(name: str) -> dict[str, Any]:
    """Version, commit and uncommitted changes of an extension package."""
    try:
        return {"version": version(name), **code(folder(name))}
    except UserError:
        return {"version": None, "commit": None, "dirty": None}


def packages() -> dict[str, str]:
    """Versions of the installed packages that numbers may depend on."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (OSError, ValueError):
        return None
