"""First state and training step of a config: optimizer, adapter, teacher and schedule joined."""

import operator
from typing import Any

import jax
from jax.sharding import Mesh
from omegaconf import DictConfig

from fxformer.config.build import build
from fxformer.distillation.teacher import Teacher
from fxformer.train.adapter import Adapter, adapter_of
from fxformer.train.config import TrainerConfig
from fxformer.train.experiment import Experiment
from fxformer.train.mesh import replicated
from fxformer.train.optim import Optimizer
from fxformer.train.precision import Precision
from fxformer.train.schedule import extended
from fxformer.train.state import Make, make_state
from fxformer.train.step import make_step


def teacher_of(cfg: DictConfig, experiment: Experiment) -> Teacher | None:
    """The teacher of `distillation=`, which is not read yet."""
    if not cfg.get("distillation"):
        return None
    return build(cfg.distillation).open(cfg, experiment)


def training(
    cfg,
    trainer: TrainerConfig,
    make,
    graphdef,
    precision: Precision,
    mesh: Mesh,
    teacher: Teacher | None = None,
):
    """Functions (key -> first state, training step) of a config."""
    ends = [*trainer.held_at, trainer.steps]
    optimizer, schedule = build(cfg.optimizer), extended(build(cfg.schedule), ends)
    adapter = adapter_of(cfg, teacher)
    frozen = frozen_parameters(optimizer, adapter, make)
    tx = optimizer.build(schedule, adapter.abstract(make), frozen)
    step = make_step(
        graphdef,
        tx,
        precision=precision,
        accumulate=trainer.accumulate,
        ema=trainer.ema,
        skip_nonfinite=trainer.skip_nonfinite,
        rate=optimizer.rate(schedule),
        hyperparams=optimizer.hyperparams(),
        compute_sharding=replicated(mesh),
        adapter=adapter,
        frozen=frozen if any(jax.tree.leaves(frozen)) else None,
        teacher=teacher,
    )
    ema, with_budget = trainer.ema is not None, trainer.schedule_on == "budget"
    start = make_state(make, tx, ema=ema, with_budget=with_budget, parameters=adapter.init)
    return start, step


def frozen_parameters(optimizer: Optimizer, adapter: Adapter, make: Make) -> Any:
    """Tree of booleans: which parameters of a state neither optimizer nor adapter lets train."""
    params = adapter.abstract(make)
    return jax.tree.map(operator.or_, optimizer.frozen(params), adapter.frozen(params))
