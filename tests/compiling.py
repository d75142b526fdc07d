"""Compiler settings of tests: programs here compile for longer than they run."""

import os
from importlib.metadata import version

# jaxlib releases that know the flag: XLA ends a process that is given one it does not know
EMITTERS = tuple(map(int, version("jaxlib").split(".")[:3])) < (0, 11, 1)

# A quarter of the usual time to compile on a CPU, a third where fusion emitters cannot be left out.
OPTIONS: dict[str, bool | int] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_parallel_codegen_split_count": 1,
    **({"xla_cpu_use_fusion_emitters": False} if EMITTERS else {}),
}


def compile_quickly() -> None:
    """Set OPTIONS for this process and its children, before jax is imported. What the caller has
    set wins."""
    flags = [f"--{name}={str(value).lower()}" for name, value in OPTIONS.items()]
    os.environ.setdefault("XLA_FLAGS", " ".join(flags))
