"""Build everything a run needs from its config, without compiling."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from omegaconf import DictConfig

from fxformer.batch import Batch
from fxformer.config.build import build
from fxformer.config.type_check import nearest
from fxformer.data.corpus import Corpus, Prepared
from fxformer.distillation.teacher import Teacher
from fxformer.distributed.group import ONE_PROCESS, ProcessGroup
from fxformer.errors import UserError
from fxformer.flops.peak import mesh_peak
from fxformer.flops.training import tokens_read, training_flops
from fxformer.metrics.direction import require_named_direction
from fxformer.nn.memory import CarriedMemory
from fxformer.objective.base import Objective
from fxformer.ops.attention.choice import BackendChoice, recorded
from fxformer.train.adapter import Adapter, without_adapter
from fxformer.train.compile import traced_step
from fxformer.train.config import TrainerConfig, in_steps
from fxformer.train.evaluation import CarriedEvaluation
from fxformer.train.experiment import SAMPLED_BATCHES, first_batch, open_experiment
from fxformer.train.frozen_body import (
    frozen_splits,
    is_frozen,
    shape_of_vectors,
    with_frozen_body,
)
from fxformer.train.generated_texts import GeneratedTexts, generated_texts
from fxformer.train.mesh import abstract_batch, batch_sharding, check_batch_size
from fxformer.train.placement import (
    CompiledTogether,
    connect,
    on_own_device,
    own_rows,
    put_batch,
    put_rows,
    put_tree,
)
from fxformer.train.precision import Precision
from fxformer.train.split_batches import SplitBatches
from fxformer.train.state import State, bind, count_parameters
from fxformer.train.step import Step, make_eval, make_eval_with_memory
from fxformer.train.step_sharding import StepSharding
from fxformer.train.teacher_cache import teacher_rows
from fxformer.train.training import teacher_of, training


@dataclasses.dataclass(frozen=True)
class Setup:
    """Everything a run needs, built but not compiled.

    objective: with abstract arrays; its `corrupt` runs on the host
    graphdef: structure of the objective without arrays
    init_state: key -> state
    step: (state, batch) -> (state, sums)
    evaluate: (params, batch) -> (sums, outputs of a task's head; None: there are none)
    abstract_state: the state as shapes, dtypes and shardings
    example_batch: the first training batch, numpy
    adapter: what makes the parameters of the objective from those of the state
    frozen: tree of booleans: which parameters of the state are not trained
    precision: of the computation
    teacher: of distillation; None: there is none
    attention: which backend computes the attention of a training step
    group: the processes that train together
    """

    cfg: DictConfig
    trainer: TrainerConfig
    corpus: Corpus
    data: Prepared
    objective: Objective
    graphdef: nnx.GraphDef[Objective]
    init_state: Callable[[jax.Array], State]
    step: Step
    evaluate: Callable[[dict, Batch], tuple[dict, Any]]
    abstract_state: State
    mesh: Mesh
    example_batch: Batch
    adapter: Adapter
    frozen: Any
    precision: Precision
    teacher: Teacher | None = None
    attention: Sequence[BackendChoice] = ()
    group: ProcessGroup = ONE_PROCESS

    @property
    def abstract_batch(self) -> Batch:
        """Shapes, dtypes and sharding of a batch on the devices."""
        return abstract_batch(self.example_batch, self.mesh)

    @property
    def parameters(self) -> int:
        """Number of parameters of the objective."""
        return count_parameters(without_adapter(self.abstract_state.params))

    @property
    def trained_parameters(self) -> int:
        """Number of parameters that are trained, those of the adapter among them."""
        params = jax.tree.leaves(self.abstract_state.params)
        frozen = jax.tree.leaves(self.frozen)
        return sum(p.size for p, stop in zip(params, frozen, strict=True) if not stop)

    @functools.cached_property
    def generated(self) -> GeneratedTexts | None:
        """Texts that the model generates for the validation rows; None: not of this task."""
        return generated_texts(
            self.corpus, self.data, self.objective, self.objective_alone, self.trainer
        )

    @property
    def directions(self) -> dict[str, bool]:
        """{name: whether higher is better} of the metrics of its task."""
        texts = self.generated.task.directions if self.generated else {}
        return {**self.objective.directions, **texts}

    @functools.cached_property
    def flops_per_token(self) -> float:
        """Model FLOPs of forward and backward pass per token, averaged over a few batches."""
        batches = self.data.train(self.corpus.batch, self.cfg.seed)
        sampled = [self.objective.corrupt(batches[n]) for n in range(SAMPLED_BATCHES)]
        memory = self.corpus.memory or 0
        passes = [one for batch in sampled for one in self.objective.passes(batch)]
        flops = sum(training_flops(*one, memory=memory) for one in passes)
        if self.teacher is not None and self.teacher.top_k is None:  # a forward pass only: a third
            passes = self.teacher.objective.passes
            flops += sum(training_flops(*one) for b in sampled for one in passes(b)) // 3
        return flops / sum(tokens_read(batch) for batch in sampled)

    def jitted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of arrays on the mesh, jitted; several processes compile it together."""
        return jax.jit(function) if self.group.alone else CompiledTogether(function, self.group)

    @functools.cached_property
    def own_rows(self) -> np.ndarray | None:
        """Numbers of the rows of a batch that this process makes; None: all."""
        whole = self.objective.whole_batches
        return None if whole else own_rows(self.corpus.batch, self.mesh)

    def evaluation(self) -> Callable[[dict, Batch], tuple[dict, Any]]:
        """`evaluate`, jitted; where a memory is carried, from batch to batch of a pass."""
        if (memory := self.abstract_state.memory) is None:
            return self.jitted(self.evaluate)
        sharding = StepSharding.of(self.abstract_state.params, self.mesh)
        known = {"sharding": sharding, "adapter": self.adapter}
        step = make_eval_with_memory(self.graphdef, precision=self.precision, **known)

        def empty() -> CarriedMemory:
            zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), memory)
            return put_tree(zeros, batch_sharding(self.mesh))

        return CarriedEvaluation(self.jitted(step), empty)

    def put(self, batch: Batch) -> Batch:
        """Put a whole batch on the devices, sharded by rows."""
        return put_batch(batch, self.mesh)

    def put_rows(self, batch: Batch) -> Batch:
        """The same with a batch of which this process has made `own_rows`."""
        return put_rows(batch, self.own_rows, self.corpus.batch, self.mesh)

    def bound(self, params: dict) -> Objective:
        """The objective with its parameters; for use inside jit."""
        return bind(self.graphdef, params)

    def objective_with(self, params: dict) -> Objective:
        """The objective with these parameters of a state; for use inside jit."""
        return self.bound(self.adapter.merged(params))

    def objective_alone(self, params: dict) -> Objective:
        """The same on a device of this process, which has them whole: to generate texts. All
        processes call it."""
        return self.objective_with(on_own_device(params))

    def facts(self) -> dict[str, Any]:
        """Facts for run.json: data, parameters, FLOPs per token, mesh."""
        peak = mesh_peak(self.mesh, self.cfg.precision.compute)
        return {
            "data": self.data.facts,
            "parameters": self.parameters,
            "trained_parameters": self.trained_parameters,
            "flops_per_token": self.flops_per_token,
            "architecture": self.objective.model.architecture,
            "mesh": dict(self.mesh.shape),
            "metrics": self.generated.signatures if self.generated else self.objective.signatures,
            "peak_flops": peak and peak[0],
            "attention": [dataclasses.asdict(one) for one in self.attention],
        }


def set_up(cfg: DictConfig, group: ProcessGroup = ONE_PROCESS) -> Setup:
    """Build everything from a checked config.

    group: the processes that train together

    Raises UserError for faults that show only with shapes and data: a missing special token, rows
    longer than the position table, a batch that does not divide among the devices, rules that match
    no parameter, an attention backend that cannot compute a call.
    """
    cfg = with_frozen_body(cfg)
    trainer, mesh_config = build(cfg.trainer), build(cfg.mesh)
    mesh = mesh_config.mesh()
    check_batch_size(cfg.data.batch, mesh, trainer.accumulate)
    if not group.alone:
        connect(mesh)
    experiment = open_experiment(cfg)
    corpus, data, objective = experiment.corpus, experiment.data, experiment.objective
    if is_frozen(cfg):
        data = frozen_splits(data, objective, shape_of_vectors(experiment.make))
    batches = data.train(corpus.batch, cfg.seed)
    cfg = in_steps(experiment.cfg, batches.steps_per_epoch)
    trainer, precision = build(cfg.trainer), build(cfg.precision)
    teacher = teacher_of(cfg, experiment)
    if teacher is not None and is_frozen(cfg):
        raise UserError("task.frozen=true computes no hidden states to distil; give one of the two")
    if teacher is not None and teacher.top_k is not None:
        if not group.alone:
            raise UserError(
                "distillation.top_k: the cache is written by one process alone; write "
                "distillation.top_k=null, or train with one process"
            )
        data = teacher_rows(data, objective, teacher, corpus.batch, cfg.seed, trainer.steps)
        batches = data.train(corpus.batch, cfg.seed)
    graphdef, start, abstract_state, step, adapter, frozen, sharding = training(
        cfg, trainer, experiment, precision, mesh_config, mesh, teacher and teacher.in_step
    )
    example = first_batch(batches, objective)
    evaluate = make_eval(graphdef, precision=precision, sharding=sharding, adapter=adapter)
    with recorded() as attention:
        traced_step(step, abstract_state, abstract_batch(example, mesh), mesh)
    setup = Setup(
        cfg, trainer, corpus, data, objective, graphdef, start, step, evaluate, abstract_state,
        mesh, example, adapter, frozen, precision, teacher, attention, group,
    )  # fmt: skip
    check_metric(setup)
    return setup


def check_metric(
    setup: Setup, objectives: Sequence[str] = (), maximize: Sequence[str] | None = None
) -> None:
    """Raise UserError unless evaluation yields trainer.metric and the objectives of a search, and
    the direction of each is known.

    maximize: search.maximize; None: the names of the objectives say their directions
    """
    sums, _ = jax.eval_shape(setup.evaluate, setup.abstract_state.params, setup.abstract_batch)
    given = dict.fromkeys(sums, 1.0)
    derived = SplitBatches(setup, scored=1).derived_names(given)
    texts = setup.generated.metric_names if setup.generated else ()
    names = list(dict.fromkeys([*given, *derived, *texts]))
    names += [f"ema_{name}" for name in names] if setup.trainer.ema is not None else []
    searched = [("search.objectives", name) for name in objectives]
    for key, metric in [("trainer.metric", setup.trainer.metric), *searched]:
        if metric not in names:
            raise UserError(
                f"{key}={metric} is not evaluated{nearest(metric, names)}; there are "
                f"{', '.join(names)}"
            )
    trainer, known = setup.trainer, setup.directions
    trainer.best_direction(known)
    for name in objectives if maximize is None else ():
        if name != trainer.metric or trainer.direction is None:
            require_named_direction(name, known)
