"""First state and training step of a config: optimizer, adapter, teacher and schedule joined."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh
from omegaconf import DictConfig

from fxformer.config.build import build
from fxformer.distillation.teacher import Teacher
from fxformer.nn.memory import CarriedMemory
from fxformer.objective.base import Objective
from fxformer.train.adapter import Adapter, adapter_of
from fxformer.train.config import TrainerConfig
from fxformer.train.experiment import Experiment
from fxformer.train.mesh import MeshConfig, with_shardings
from fxformer.train.optim import Optimizer
from fxformer.train.precision import Precision
from fxformer.train.schedule import extended
from fxformer.train.state import State, graphdef_of, make_state, shapes_of
from fxformer.train.step import Step, make_step
from fxformer.train.step_sharding import StepSharding
from fxformer.train.tensor_parallel import check_tensor


def teacher_of(cfg: DictConfig, experiment: Experiment) -> Teacher | None:
    """The teacher of `distillation=`, which is not read yet."""
    if not cfg.get("distillation"):
        return None
    return build(cfg.distillation).open(cfg, experiment)


class Training(NamedTuple):
    """First state and training step; see the fields of Setup."""

    graphdef: nnx.GraphDef[Objective]
    init_state: Callable[[jax.Array], State]
    abstract_state: State
    step: Step
    adapter: Adapter
    frozen: Any
    sharding: StepSharding | None


def training(
    cfg: DictConfig,
    trainer: TrainerConfig,
    experiment: Experiment,
    precision: Precision,
    mesh_config: MeshConfig,
    mesh: Mesh,
    teacher: Teacher | None = None,
) -> Training:
    """First state and training step of a config. cfg: that of the experiment, in steps"""
    graphdef, adapter = graphdef_of(experiment.objective), adapter_of(cfg, teacher)
    params = adapter.shapes(shapes_of(experiment.objective))
    ends = [*trainer.held_at, trainer.steps]
    optimizer, schedule = build(cfg.optimizer), extended(build(cfg.schedule), ends)
    frozen = frozen_parameters(optimizer, adapter, params)
    tx = optimizer.build(schedule, params, frozen)
    check_tensor(experiment.objective, params, mesh_config, mesh)
    ema, with_budget = trainer.ema is not None, trainer.schedule_on == "budget"
    start = make_state(
        experiment.make,
        tx,
        ema=ema,
        with_budget=with_budget,
        parameters=adapter.init,
        memory=empty_memory(experiment, precision),
    )
    state = jax.eval_shape(start, jax.random.key(0))
    state = with_shardings(state, mesh_config.shardings(state, mesh))
    sharding = StepSharding.of(state.params, mesh, manual=teacher is None)
    step = make_step(
        graphdef,
        tx,
        precision=precision,
        accumulate=trainer.accumulate,
        ema=trainer.ema,
        skip_nonfinite=trainer.skip_nonfinite,
        log_every=trainer.log_every,
        rate=optimizer.rate(schedule),
        hyperparams=optimizer.hyperparams(),
        sharding=sharding,
        adapter=adapter,
        frozen=frozen if any(jax.tree.leaves(frozen)) else None,
        teacher=teacher,
    )
    return Training(graphdef, start, state, step, adapter, frozen, sharding)


def empty_memory(
    experiment: Experiment, precision: Precision
) -> Callable[[], CarriedMemory] | None:
    """Function () -> an empty memory for a batch, where its rows continue those of the one before;
    None where they do not."""
    corpus, model = experiment.corpus, experiment.objective.model
    if corpus.memory is None:
        return None
    return partial(model.empty_memory, corpus.batch, corpus.memory, jnp.dtype(precision.compute))


def frozen_parameters(optimizer: Optimizer, adapter: Adapter, params: dict) -> Any:
    """Tree of booleans: which parameters of a state neither optimizer nor adapter lets train.

    params: their shapes
    """
    return jax.tree.map(operator.or_, optimizer.frozen(params), adapter.frozen(params))
