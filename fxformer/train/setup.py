"""Build everything a run needs from its config, without compiling, and check that it fits."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from omegaconf import DictConfig

from fxformer import memory
from fxformer.batch import Batch
from fxformer.config.build import build
from fxformer.config.type_check import nearest
from fxformer.data.corpus import Corpus, Prepared
from fxformer.data.loader import Batches
from fxformer.data.round_trip import bits_per_byte
from fxformer.errors import UserError
from fxformer.flops.peak import mesh_peak
from fxformer.flops.training import tokens_read, training_flops
from fxformer.objective.base import Objective
from fxformer.objective.coverage import Coverage
from fxformer.train.compile import donates
from fxformer.train.config import Trainer
from fxformer.train.experiment import open_task
from fxformer.train.mesh import check_batch, everywhere, put_batch, target
from fxformer.train.precision import Precision
from fxformer.train.schedule import extended
from fxformer.train.state import State, abstract, bind, blueprint, count_parameters, make_state
from fxformer.train.step import Step, make_eval, make_step

LOOKED = 8  # training batches whose arithmetic stands for all


@dataclasses.dataclass(frozen=True)
class Setup:
    """A run before it runs.

    objective: with abstract arrays; its `corrupt` serves on the host
    shape: its structure without arrays
    start, step, evaluate: key -> state, (state, batch) -> (state, sums), (params, batch) -> sums
    like: the state as shapes, dtypes and shardings
    example: the first training batch, numpy
    """

    cfg: DictConfig
    trainer: Trainer
    corpus: Corpus
    data: Prepared
    objective: Objective
    shape: nnx.GraphDef
    start: Callable[[jax.Array], State]
    step: Step
    evaluate: Callable[[dict, Batch], dict]
    like: State
    mesh: Mesh
    example: Batch

    @property
    def parameters(self) -> int:
        """Numbers that are trained."""
        return count_parameters(self.like.params)

    @functools.cached_property
    def flops_per_token(self) -> float:
        """Model FLOPs of forward and backward for each token read, over some training batches."""
        batches = self.data.train(self.corpus.batch, self.cfg.seed)
        seen = [self.objective.corrupt(batches[n]) for n in range(LOOKED)]
        flops = sum(training_flops(*one) for b in seen for one in self.objective.passes(b))
        return flops / sum(tokens_read(batch) for batch in seen)

    def put(self, batch: Batch) -> Batch:
        """The batch on the devices."""
        return put_batch(batch, self.mesh)

    def objective_with(self, params: dict) -> Objective:
        """The objective with these parameters, for inside jit."""
        return bind(self.shape, params)

    def facts(self) -> dict[str, Any]:
        """For the run's record."""
        peak = mesh_peak(self.mesh, self.cfg.precision.compute)
        return {
            "data": self.data.facts,
            "parameters": self.parameters,
            "flops_per_token": self.flops_per_token,
            "architecture": self.objective.model.architecture,
            "mesh": dict(self.mesh.shape),
            "peak_flops": peak and peak[0],
        }


def set_up(cfg: DictConfig) -> Setup:
    """Build everything from a checked config.

    Raises UserError for what only shapes and data can tell: a missing special token, rows longer
    than the position table, a batch that the devices do not divide, rules that match nothing.
    """
    trainer, layout = build(cfg.trainer), build(cfg.mesh)
    mesh = layout.mesh()
    check_batch(cfg.data.batch, mesh, trainer.accumulate)
    task = open_task(cfg)
    corpus, data, make, objective = task.corpus, task.data, task.make, task.objective
    shape, precision = blueprint(make), build(cfg.precision)
    start, step = training(cfg, trainer, make, shape, precision, mesh)
    like = jax.eval_shape(start, jax.random.key(0))
    like = target(like, layout.place(like, mesh))
    example = first_batch(data.train(corpus.batch, cfg.seed), objective)
    evaluate = make_eval(shape, precision=precision, gathered=everywhere(mesh))
    setup = Setup(
        cfg, trainer, corpus, data, objective, shape, start, step, evaluate, like, mesh, example
    )
    jax.eval_shape(step, like, example)
    check_metric(setup)
    return setup


def first_batch(batches: Batches, objective: Objective) -> Batch:
    """The first training batch. UserError where none of the first few has any target."""
    made = [objective.corrupt(batches[0])]
    while not np.any(made[-1].weights):
        if len(made) == LOOKED:
            raise UserError(
                f"objective: the first {LOOKED} batches have no target, so there is nothing to "
                "learn; write a larger data.length, or another objective"
            )
        made.append(objective.corrupt(batches[len(made)]))
    return made[0]


def check_metric(setup: Setup, objectives: Sequence[str] = ()) -> None:
    """UserError unless trainer.metric and a search's objectives are numbers that evaluations will
    give."""
    given = dict.fromkeys(jax.eval_shape(setup.evaluate, setup.like.params, setup.example), 1.0)
    names = [*given, *Held(setup, scored=1).derive(given)]
    names += [f"ema_{name}" for name in names] if setup.trainer.ema is not None else []
    asked = {"trainer.metric": [setup.trainer.metric], "search.objectives": list(objectives)}
    for key, metric in [(key, metric) for key, some in asked.items() for metric in some]:
        if metric not in names:
            raise UserError(
                f"{key}={metric} is not evaluated{nearest(metric, names)}; there are "
                f"{', '.join(names)}"
            )


def training(cfg, trainer: Trainer, make, shape, precision: Precision, mesh: Mesh):
    """The functions that make the first state and the next one."""
    ends = [*trainer.held, trainer.steps]
    optimizer, schedule = build(cfg.optimizer), extended(build(cfg.schedule), ends)
    tx = optimizer.build(schedule, abstract(make))
    step = make_step(
        shape,
        tx,
        precision=precision,
        accumulate=trainer.accumulate,
        ema=trainer.ema,
        guard=trainer.guard,
        rate=optimizer.rate(schedule),
        knobs=optimizer.knobs(),
        gathered=everywhere(mesh),
    )
    paced = trainer.decay_on == "budget"
    return make_state(make, tx, ema=trainer.ema is not None, paced=paced), step


@dataclasses.dataclass
class Held:
    """The validation batches, made anew at each pass; always the same.

    scored: targets that count in one whole pass; 0 before the first
    coverage: how many of the texts were in its batches; of a pass that has ended
    """

    setup: Setup
    scored: int = 0
    coverage: Coverage | None = None

    def __iter__(self) -> Iterator[Batch]:
        data, corpus = self.setup.data, self.setup.corpus
        scored, corrupt = 0, Coverage(self.setup.objective)
        batches = data.valid(corpus.batch)
        with data.loader(batches, corrupt, workers=corpus.workers) as loader:
            for _, batch in loader:
                scored += int(np.sum(batch.weights))
                yield self.setup.put(batch)
        self.scored, self.coverage = scored, corrupt

    def derive(self, numbers: dict[str, float]) -> dict[str, float]:
        """Perplexity; and bits per byte where the objective gives a likelihood of the text, with
        what a lossy tokenizer leaves out charged (see data/round_trip.py)."""
        nats = numbers.get("nll", numbers["loss"])
        more = {"perplexity": float(jnp.exp(min(nats, 80.0)))}
        valid = self.setup.data.facts["valid"]
        if valid["bytes"] and self.setup.objective.scores_text:
            more["bits_per_byte"] = bits_per_byte(nats * self.scored, valid)
        return more


def check_memory(setup: Setup) -> None:
    """UserError where the state and its gradient alone are larger than the devices' memory.

    A lower bound: activations come on top. `fxformer plan` compiles the step to know them too.
    """
    device = setup.mesh.devices.flat[0]
    copies = 1 if donates(setup.trainer.donate) else 2  # the old state and the new one
    size = copies * bytes_per_device(setup.like) + bytes_per_device(setup.like.params)
    there = _free_device_memory(device)
    if there is None:  # all devices share the main memory
        there, size = memory.free(), size * setup.mesh.size
    memory.require(
        size,
        "model",
        f"training {setup.parameters:,} parameters (weights, optimizer state, gradient)",
        there,
        "write a smaller size=, model.dim or model.layers; see also optimizer=adafactor, mesh=fsdp",
    )


def bytes_per_device(tree: Any) -> int:
    """Bytes of a tree of abstract arrays on each device."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _free_device_memory(device: jax.Device) -> int | None:
    """Bytes that a device can still give; None where it has no memory of its own."""
    if device.platform == "cpu":
        return None
    facts = device.memory_stats() or {}
    most = facts.get("bytes_limit")
    return None if most is None else most - facts.get("bytes_in_use", 0)
