"""What is learned from what: a corpus, an objective for it, and rows as that objective wants them.

Training and auditing begin here, so both refuse the same configs with the same words.
"""

import dataclasses
from collections.abc import Callable

import jax
from flax import nnx
from omegaconf import DictConfig, ListConfig

from fxformer.batch import Vocabulary
from fxformer.config.build import build
from fxformer.data.corpus import Corpus, Prepared
from fxformer.errors import UserError
from fxformer.nn.init import reinitialise
from fxformer.objective.base import Objective
from fxformer.train.state import bind


@dataclasses.dataclass(frozen=True)
class Task:
    """A config's text and objective.

    make: key -> the objective with its model, weights drawn by the model's init rules
    objective: with abstract arrays; its `corrupt` serves on the host
    """

    corpus: Corpus
    data: Prepared
    make: Callable[[jax.Array], Objective]
    objective: Objective


def open_task(cfg: DictConfig) -> Task:
    """Read the corpus, build the objective abstractly, pack. Nothing is computed on a device.

    Raises UserError for what only shapes and data can tell, as a missing special token.
    """
    corpus = build(cfg.data)(tokenizer=build(cfg.tokenizer))
    make = maker(cfg, corpus.vocabulary)
    objective = nnx.eval_shape(lambda: make(jax.random.key(0)))
    row_length = objective.row_length(corpus.length)
    data = corpus.prepare(row_length, objective.limits(row_length))
    return Task(corpus, data, make, objective)


def maker(cfg: DictConfig, vocabulary: Vocabulary) -> Callable[[jax.Array], Objective]:
    """The function key -> objective with its model, weights drawn by the model's init rules."""
    objective, network = build(cfg.objective), build(cfg.model.network)
    if not isinstance(cfg.model.init.rules, ListConfig):
        raise UserError(f"model.init.rules: wants a list, got {cfg.model.init.rules!r}")
    rules = build(cfg.model.init.rules)

    def make(key: jax.Array) -> Objective:
        first, second = jax.random.split(key)
        built = objective(network, vocabulary=vocabulary, rngs=nnx.Rngs(first))
        shape, state = nnx.split(built)
        return bind(shape, reinitialise(nnx.to_pure_dict(state), rules, second))

    return make
