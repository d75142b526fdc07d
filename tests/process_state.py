"""State of the process that a command changes and a test must not leave to the next: otherwise the
tests of a file would depend on their order and on the worker that runs them."""

import functools
import logging
import os
import sys
from typing import Any


@functools.cache
def jax_options() -> dict[str, Any]:
    """Options of jax's compilation cache as the environment of the tests sets them."""
    environ = os.environ
    enabled = environ.get("JAX_ENABLE_COMPILATION_CACHE", "true").lower() in ("1", "true", "on")
    return {
        "jax_compilation_cache_dir": environ["JAX_COMPILATION_CACHE_DIR"],
        "jax_enable_compilation_cache": enabled,
        "jax_persistent_cache_min_compile_time_secs": float(
            environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]
        ),
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }


def restore_process_state() -> None:
    """Put back the options of jax's compilation cache, which `trainer.compile_cache` sets; the
    Hydra of the process and its config, which are none; and the root logger, to which a job of
    Hydra adds a handler of the stream that captured the output of that test."""
    if (jax := sys.modules.get("jax")) is not None:
        for name, value in jax_options().items():
            if getattr(jax.config, name) != value:
                jax.config.update(name, value)
    if (module := sys.modules.get("hydra.core.global_hydra")) is not None:
        module.GlobalHydra.instance().clear()
    if (module := sys.modules.get("hydra.core.hydra_config")) is not None:
        module.HydraConfig.instance().cfg = None
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) in (logging.StreamHandler, logging.FileHandler):  # pytest's are others
            root.removeHandler(handler)
    root.setLevel(logging.WARNING)


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
    except OSError:  # not Linux
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
