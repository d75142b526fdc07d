"""Experiment of a config: its corpus, packed, and its objective with the model.

Training and audits start here, so both refuse the same configs with the same messages.
"""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from flax import nnx
from omegaconf import DictConfig, ListConfig

from fxformer.batch import Batch, Vocabulary
from fxformer.config.build import build
from fxformer.data.corpus import Corpus, Prepared
from fxformer.data.loader import Batches
from fxformer.errors import UserError
from fxformer.nn.init import reinitialise
from fxformer.objective.base import Objective
from fxformer.train.state import abstract, bind

SAMPLED_BATCHES = 8  # first training batches that are looked at: for targets, and for FLOPs


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Corpus and objective of a config.

    cfg: the config, with what follows from the data (class names of a task)
    make: key -> the objective with its model, weights drawn by the init rules of the model
    objective: with abstract arrays; its `corrupt` runs on the host
    """

    cfg: DictConfig
    corpus: Corpus
    data: Prepared
    make: Callable[[jax.Array], Objective]
    objective: Objective


def open_experiment(cfg: DictConfig) -> Experiment:
    """Read the corpus, build the objective abstractly and pack; nothing runs on a device.

    Raises UserError for faults that show only with shapes and data, e.g. a missing special token.
    """
    corpus = build(cfg.data)(tokenizer=build(cfg.tokenizer))
    cfg = corpus.completed(cfg)
    make = objective_factory(cfg, corpus.vocabulary)
    objective = abstract(make)
    row_length = objective.row_length(corpus.length)
    architecture = objective.model.architecture
    data = corpus.prepare(row_length, objective.limits(row_length), architecture)
    return Experiment(cfg, corpus, data, make, objective)


def objective_factory(cfg: DictConfig, vocabulary: Vocabulary) -> Callable[[jax.Array], Objective]:
    """Function key -> objective with its model, weights drawn by the init rules of the model."""
    objective, network = build(cfg.objective), build(cfg.model.network)
    if not isinstance(cfg.model.init.rules, ListConfig):
        raise UserError(f"model.init.rules: expected a list, got {cfg.model.init.rules!r}")
    rules = build(cfg.model.init.rules)

    def make(key: jax.Array) -> Objective:
        first, second = jax.random.split(key)
        built = objective(network, vocabulary=vocabulary, rngs=nnx.Rngs(first))
        graphdef, state = nnx.split(built)
        return bind(graphdef, reinitialise(nnx.to_pure_dict(state), rules, second))

    return make


def first_batch(batches: Batches, objective: Objective) -> Batch:
    """First training batch with targets. Raises UserError where the first few have none."""
    made = [objective.corrupt(batches[0])]
    while not np.any(made[-1].weights):
        if len(made) == SAMPLED_BATCHES:
            raise UserError(
                f"objective: the first {SAMPLED_BATCHES} batches have no target, so there is "
                "nothing to learn; write a larger data.length, or another objective"
            )
        made.append(objective.corrupt(batches[len(made)]))
    return made[0].replace(teacher=batches[0].teacher)
