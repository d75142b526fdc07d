"""Measures of models without training: number of parameters, permutation equivariance."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx
from omegaconf import DictConfig

from fxformer.batch import Batch
from fxformer.claims.measures import ConfigMeasure
from fxformer.config.build import build
from fxformer.errors import UserError
from fxformer.rules import named
from fxformer.train.experiment import open_experiment
from fxformer.train.state import abstract, bind, graphdef_of, init, shapes_of
from fxformer.types import Count, Positive


@dataclasses.dataclass(frozen=True)
class ParameterCount(ConfigMeasure):
    """Number of parameters of the model of a config, with a vocabulary of a given size.

    Nothing is allocated and no corpus is read, so that published sizes can be counted.

    vocab: size of the vocabulary
    without: parts that are not counted, as the heads where a paper counts none: first names of
        their parameters' paths
    """

    vocab: Count
    without: tuple[str, ...] = ()

    def of_config(self, cfg: DictConfig) -> float:
        make = build(cfg.model.network)
        model = nnx.eval_shape(lambda: make(vocab=self.vocab, rngs=nnx.Rngs(0)))
        sizes = {path: math.prod(leaf.shape) for path, leaf in named(shapes_of(model)).items()}
        parts = {path.split("/")[0] for path in sizes}
        if missing := [one for one in self.without if one not in parts]:
            raise UserError(
                f"ParameterCount: there is no part {missing[0]} to leave out; there are "
                f"{', '.join(sorted(parts))}"
            )
        return float(sum(n for path, n in sizes.items() if path.split("/")[0] not in self.without))


@dataclasses.dataclass(frozen=True)
class PermutationEquivariance(ConfigMeasure):
    """Share of the places of random rows at which a freshly initialised encoder gives for the
    permuted row what it gives for the row, permuted likewise.

    rows: random rows of data.length tokens, each with a permutation of its own
    tolerance: largest difference of a channel that counts as none, as a share of the root mean
        square of all channels; float32 sums in another order differ by about 1e-6
    """

    rows: Count = 64
    tolerance: Positive = 1e-4

    def of_config(self, cfg: DictConfig) -> float:
        task = open_experiment(cfg)
        if task.objective.model.architecture != "encoder":
            raise UserError("PermutationEquivariance: needs an encoder, as model=encoder")
        graphdef = graphdef_of(abstract(task.make))
        first, second, third = jax.random.split(jax.random.key(cfg.seed), 3)
        shape = (self.rows, task.corpus.length)
        ordinary = jnp.asarray(task.corpus.vocabulary.ordinary)
        tokens = ordinary[jax.random.randint(second, shape, 0, len(ordinary))]
        places = jnp.broadcast_to(jnp.arange(shape[1]), shape)
        order = jax.random.permutation(third, places, axis=1, independent=True)

        @jax.jit
        def share(params):
            model = bind(graphdef, params).model
            segments = jnp.ones(shape, jnp.int32)
            states = model(Batch(tokens=tokens, segments=segments))
            mixed = jnp.take_along_axis(tokens, order, 1)
            found = model(Batch(tokens=mixed, segments=segments))
            expected = jnp.take_along_axis(states, order[..., None], 1)
            unit = jnp.sqrt(jnp.mean(jnp.square(states)))
            return jnp.mean(jnp.abs(found - expected).max(-1) <= self.tolerance * unit)

        return float(share(init(task.make, first)))
