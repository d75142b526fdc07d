"""Measure of how many tokens of a batch an objective learns from, without training."""

import dataclasses

import jax
from omegaconf import DictConfig

from fxformer.claims.measures import ConfigMeasure
from fxformer.errors import UserError
from fxformer.train.experiment import open_experiment
from fxformer.train.state import bind, graphdef_of, init


@dataclasses.dataclass(frozen=True)
class ScoredShare(ConfigMeasure):
    """Share of the tokens of the first training batch that an objective takes a mean over.

    number: the mean: "loss", or another number of the objective, as the nll of ELECTRA's generator
    """

    number: str = "loss"

    def of_config(self, cfg: DictConfig) -> float:
        task = open_experiment(cfg)
        rows = task.data.train(task.corpus.batch, cfg.seed)[0]
        batch = task.objective.corrupt(rows)
        graphdef = graphdef_of(task.objective)
        params = jax.jit(lambda key: init(task.make, key))(jax.random.key(cfg.seed))
        sums = jax.jit(lambda params, batch: bind(graphdef, params)(batch))(params, batch)
        if self.number not in sums:
            raise UserError(
                f"ScoredShare: {cfg.objective._target_} has no {self.number}; there are "
                f"{', '.join(sums)}"
            )
        return float(sums[self.number][1]) / int((rows.segments > 0).sum())
