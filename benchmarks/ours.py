"""Our side: the step that `fxformer train` would run, from the same configs."""

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import ClassVar, cast

import jax
import numpy as np
from hydra import compose, initialize_config_dir

from benchmarks.work import FAMILIES, MASK, Shape, make_batch
from fxformer.batch import Vocabulary
from fxformer.config import folders
from fxformer.config.build import build
from fxformer.train.compile import compile_step, use_compile_cache
from fxformer.train.experiment import Experiment, objective_factory
from fxformer.train.state import abstract, count_parameters
from fxformer.train.training import training


def overrides(family: str, shape: Shape) -> list[str]:
    """What one would write after `fxformer train`."""
    model, objective = FAMILIES[family]
    shape = shape.of(family)
    return [
        f"model={model}", f"objective={objective}", f"model.dim={shape.dim}",
        f"model.layers={shape.layers}", f"model.heads={shape.heads}",
        f"model.dropout={shape.dropout}",
        f"model.ffn.hidden={shape.hidden}", f"model.position.length={shape.length}",
        "optimizer.lr=1e-4", "schedule=constant", f"data.length={shape.length}",
    ]  # fmt: skip


def config(family: str, shape: Shape, words: Sequence[str] | None = None):
    """The composed config. words: what one would write, where that is not `overrides`"""
    folders.register()
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        return compose("train", list(overrides(family, shape) if words is None else words))


def vocabulary(size: int) -> Vocabulary:
    """One without words: five special tokens, every 20th id ends a sentence."""
    ids = np.arange(size)
    ends = ids % 20 == 10
    return Vocabulary(size, 0, ids <= MASK, np.ones(size, bool), ends, 1, 2, 3, MASK)


def objective(family: str, shape: Shape):
    """The function key -> objective with its model."""
    return objective_factory(config(family, shape), vocabulary(shape.vocab))


class Side:
    """A state and its compiled step. `run(count)` makes steps and returns their seconds.

    words: the command line, where it is not that of the family and the shape
    objective: with abstract arrays
    compile_seconds: tracing and XLA, or reading the program from `cache`
    """

    versions: ClassVar = {"jax": jax.__version__}

    def __init__(
        self,
        family: str,
        shape: Shape,
        cache: str | None = None,
        words: Sequence[str] | None = None,
    ):
        use_compile_cache(cache)
        cfg = config(family, shape, words)
        make = objective_factory(cfg, vocabulary(shape.vocab))
        trainer, layout = build(cfg.trainer), build(cfg.mesh)
        mesh, precision = layout.mesh(), build(cfg.precision)
        # of the experiment, training needs no data
        corpus = SimpleNamespace(memory=None)
        self.objective = abstract(make)
        known = SimpleNamespace(make=make, objective=self.objective, corpus=corpus)
        experiment = cast(Experiment, known)
        made = training(cfg, trainer, experiment, precision, layout, mesh)
        start, step = made.init_state, made.step
        like = jax.eval_shape(start, jax.random.key(0))
        placement = layout.shardings(like, mesh)
        self.state = jax.jit(start, out_shardings=placement)(jax.random.key(0))
        self.batch = jax.device_put(make_batch(family, shape))
        self.parameters = count_parameters(like.params)
        self.jitted = compile_step(step, placement, mesh, donate=trainer.donate)
        began = time.perf_counter()
        self.step = self.jitted.lower(self.state, self.batch).compile()
        self.compile_seconds = time.perf_counter() - began
        self.loss = float("nan")

    def run(self, count: int) -> list[float]:
        """Seconds of each of `count` steps."""
        return [self.once() for _ in range(count)]

    def once(self) -> float:
        """Seconds of one step, its loss read as the training loop would."""
        began = time.perf_counter()
        self.state, sums = self.step(self.state, self.batch)
        total, weight = jax.device_get(sums["loss"])
        self.loss = float(total) / float(weight)
        return time.perf_counter() - began
