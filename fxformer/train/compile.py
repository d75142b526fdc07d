"""Compilation of the training step: donation, output shardings, compilation cache."""

import ctypes
import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from fxformer.train.mesh import abstractly_placed, replicated
from fxformer.train.placement import put_tree
from fxformer.train.state import State
from fxformer.train.step import Step, Sums


def donates(donate: bool | None) -> bool:
    """Whether to donate the old state; None: yes.

    The new state then takes the memory of the old one, and a checkpoint copies it before it is
    written. Without donation the state exists twice during a step.
    """
    return True if donate is None else donate


def return_free_memory() -> None:
    """Give memory that was freed back to the system: glibc's malloc keeps most of it otherwise."""
    if sys.platform.startswith("linux"):
        if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
            trim(0)


@dataclasses.dataclass(frozen=True)
class StepProgram:
    """A jitted, lowered or compiled training step with its other arguments.

    hyperparams: see Step
    taught: parameters of a teacher on the devices, when they are first wanted; None: no teacher
    taught_shapes: shapes of these
    """

    stage: Any
    hyperparams: Mapping[str, jax.Array]
    taught: Callable[[], Any] = lambda: None
    taught_shapes: Any = None

    def __call__(self, state: State, batch: Any) -> tuple[State, Sums]:
        return self.stage(state, batch, self.hyperparams, self.taught())

    def lower(self, state: State, batch: Any) -> "StepProgram":
        """Trace and lower for these shapes."""
        lowered = self.stage.lower(state, batch, self.hyperparams, self.taught_shapes)
        return dataclasses.replace(self, stage=lowered)

    def compile(self) -> "StepProgram":
        """Compile, or load from the compilation cache; what that and the making of the state have
        freed goes back to the system, so that the step's temporaries do not come on top of it."""
        compiled = dataclasses.replace(self, stage=self.stage.compile())
        return_free_memory()
        return compiled

    def as_text(self) -> str:
        """Text of the program (HLO)."""
        return self.stage.as_text()

    def memory_analysis(self) -> Any:
        """Memory analysis of a compiled program by its compiler, or None."""
        return self.stage.memory_analysis()


def compile_step(
    step: Step, shardings: Any, mesh: Mesh, *, donate: bool | None = None
) -> StepProgram:
    """jit a training step (state, batch) -> (state, sums).

    shardings: of the new state, see MeshConfig.shardings; the sums are replicated
    donate: as in `donates`
    """
    donated, whole = (0,) if donates(donate) else (), replicated(mesh)
    jitted = jax.jit(step.function, donate_argnums=donated, out_shardings=(shardings, whole))
    program = StepProgram(jitted, put_tree(dict(step.hyperparams), whole))
    if (teacher := step.teacher) is None:
        return program
    taught = functools.cache(lambda: put_tree(teacher.params, whole))
    shapes = abstractly_placed(teacher.abstract, whole)
    return dataclasses.replace(program, taught=taught, taught_shapes=shapes)


def traced_step(step: Step, state: State, batch: Any, mesh: Mesh) -> jax.stages.Traced:
    """A step, traced; no parameter of a teacher is read. jax keeps the trace: neither `lower` for
    the same arguments nor a second call traces again.

    state, batch: shapes, dtypes and shardings
    """
    whole, teacher = replicated(mesh), step.teacher
    hyperparams = abstractly_placed(dict(step.hyperparams), whole)
    taught = None if teacher is None else abstractly_placed(teacher.abstract, whole)
    return jax.jit(step.function).trace(state, batch, hyperparams, taught)


def use_compile_cache(folder: str | Path | None) -> None:
    """Set the folder of JAX's persistent compilation cache; None disables it."""
    if folder is None:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    path = Path(folder).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
