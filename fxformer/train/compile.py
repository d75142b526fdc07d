"""How a step is compiled: what is donated, where results lie, and the cache on disk."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from fxformer.train.mesh import everywhere
from fxformer.train.state import State
from fxformer.train.step import Step, Sums


def donates(donate: bool | None) -> bool:
    """`donate`, or by platform: giving up the old state saves memory on GPU and TPU; on CPU it was
    measured up to 10 % slower, and kept states can be saved without a copy."""
    return jax.default_backend() != "cpu" if donate is None else donate


@dataclasses.dataclass(frozen=True)
class Program:
    """A step that is jitted, lowered or compiled, with the knobs that it is called with."""

    stage: Any
    knobs: Mapping[str, jax.Array]

    def __call__(self, state: State, batch: Any) -> tuple[State, Sums]:
        return self.stage(state, batch, self.knobs)

    def lower(self, state: State, batch: Any) -> "Program":
        """Traced for these shapes."""
        return Program(self.stage.lower(state, batch, self.knobs), self.knobs)

    def compile(self) -> "Program":
        """Compiled, or taken from the cache."""
        return Program(self.stage.compile(), self.knobs)

    def as_text(self) -> str:
        """The program itself."""
        return self.stage.as_text()

    def memory_analysis(self) -> Any:
        """Of a compiled one: what its compiler says, or None."""
        return self.stage.memory_analysis()


def compile_step(step: Step, placement: Any, mesh: Mesh, *, donate: bool | None = None) -> Program:
    """jit of (state, batch) -> (state, sums): the new state lies as `placement` (see
    Layout.place), the sums everywhere. Arguments are taken where they lie."""
    given, whole = (0,) if donates(donate) else (), everywhere(mesh)
    jitted = jax.jit(step.function, donate_argnums=given, out_shardings=(placement, whole))
    return Program(jitted, jax.device_put(dict(step.knobs), whole))


def use_compile_cache(folder: str | Path | None) -> None:
    """Keep compiled programs in `folder` (None: nowhere) for later processes."""
    if folder is None:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    path = Path(folder).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
