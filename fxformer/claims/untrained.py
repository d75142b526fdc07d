"""Measures of configs without training: gradients at initialisation, token counts, audits."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig

from fxformer.claims.measures import ConfigMeasure
from fxformer.config.type_check import nearest
from fxformer.errors import UserError
from fxformer.evaluate.audit.draw import draw
from fxformer.rules import is_stacked, named
from fxformer.train.experiment import open_experiment
from fxformer.train.state import bind, graphdef_of, init, shapes_of
from fxformer.types import Count


@dataclasses.dataclass(frozen=True)
class GradientNorm(ConfigMeasure):
    """Euclidean norm of the gradient of a parameter at initialisation, averaged over draws.

    parameter: path, e.g. model/transformer/stack/blocks/ffn/down/kernel
    layer: of a parameter with a layer axis, counted from the end where negative
    draws: independent initialisations that follow from the run's seed, each with a training batch
        of its own; without dropout
    """

    parameter: str
    layer: int = -1
    draws: Count = 16

    def of_config(self, cfg: DictConfig) -> float:
        task = open_experiment(cfg)
        graphdef = graphdef_of(task.objective)
        paths = list(named(shapes_of(task.objective)))
        if self.parameter not in paths:
            raise UserError(
                f"GradientNorm: there is no parameter {self.parameter}"
                f"{nearest(self.parameter, paths)}; there are {', '.join(paths)}"
            )

        @jax.jit
        def norm(key, batch):
            def mean_loss(params):
                total, weight = bind(graphdef, params)(batch)["loss"]
                return total / weight

            gradient = named(jax.grad(mean_loss)(init(task.make, key)))[self.parameter]
            if is_stacked(self.parameter):
                gradient = gradient[self.layer]
            return jnp.sqrt(jnp.sum(jnp.square(gradient)))

        keys = jax.random.split(jax.random.key(cfg.seed), self.draws)
        rows = task.data.train(task.corpus.batch, cfg.seed)
        found = [norm(key, task.objective.corrupt(rows[n])) for n, key in enumerate(keys)]
        return float(np.mean(jax.device_get(found)))


@dataclasses.dataclass(frozen=True)
class TokensPerPiece(ConfigMeasure):
    """Tokens that the encoder reads or the decoder writes for a piece of text, without padding.

    Only pieces that fill a row of data.length count, so that the number is that of one length.

    side: "source": what the encoder reads; "target": what the decoder writes
    rows: of the training data
    """

    side: Literal["source", "target"]
    rows: Count = 256

    def of_config(self, cfg: DictConfig) -> float:
        task = open_experiment(cfg)
        count = min(self.rows, len(task.data.packed["train"]))
        rows = task.data.train(count, cfg.seed)[0]
        full = (rows.segments == 1).all(1)
        if not full.any():
            raise UserError(
                f"TokensPerPiece: no piece of text fills a row of data.length={cfg.data.length}"
            )
        batch = task.objective.corrupt(rows)
        segments = batch.source_segments if self.side == "source" else batch.segments
        if segments is None:
            raise UserError(f"TokensPerPiece: {cfg.objective._target_} has no {self.side}")
        return float((np.asarray(segments)[full] > 0).sum(1).mean())


@dataclasses.dataclass(frozen=True)
class AuditNumber(ConfigMeasure):
    """What an audit observed for one check of the objective: a mean, a share, or the share of
    right values.

    check: its name, as `fxformer audit` prints it
    draws: examples that are drawn
    """

    check: str
    draws: Count = 10_000

    def of_config(self, cfg: DictConfig) -> float:
        task = open_experiment(cfg)
        rows = min(256, len(task.data.packed["train"]))
        drawn = draw(task.objective, task.data.train(rows, cfg.seed), self.draws, alpha=1e-6)
        by_name = {finding.check.name: finding for finding in drawn.findings}
        if self.check not in by_name:
            raise UserError(
                f"AuditNumber: there is no check {self.check!r}; there are {', '.join(by_name)}"
            )
        observed = by_name[self.check].observed
        if isinstance(observed, tuple):
            raise UserError(f"AuditNumber: {self.check} observes several shares, not one number")
        return observed
