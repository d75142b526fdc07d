"""Measures of the samplers of a search without training, on surfaces in closed form."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from fxformer.claims.measures import ConfigMeasure
from fxformer.errors import UserError
from fxformer.search.sample import Grid, Random, Sampler
from fxformer.search.study import Dimension, Study
from fxformer.types import Count, Proportion


@dataclasses.dataclass(frozen=True)
class RandomBeatsGrid(ConfigMeasure):
    """Share of replays in which the best trial of random search is not worse than that of a grid of
    as many trials, by the samplers of `fxformer train -m`. Bergstra and Bengio 2012.

    The loss of a point of the unit cube is its squared distance to an optimum over the dimensions
    that matter; each replay draws the optimum uniformly. The grid has the centres of equal cells.

    dimensions: of the space; relevant: how many of them matter
    points: of the grid along each dimension
    """

    dimensions: Count = 4
    relevant: Count = 1
    points: Count = 3
    replays: Count = 200

    def __post_init__(self) -> None:
        if self.relevant > self.dimensions:
            raise UserError(
                f"RandomBeatsGrid: relevant={self.relevant}: at most dimensions={self.dimensions}"
            )

    def of_config(self, cfg: DictConfig) -> float:
        centres = tuple((np.arange(self.points) + 0.5) / self.points)
        names = [f"x{n}" for n in range(self.dimensions)]
        cells = [Dimension(name, "choice", choices=centres) for name in names]
        total = self.points**self.dimensions
        grid = drawn_points(Grid(), cells, total, seed=0)[:, : self.relevant]
        rng, wins = np.random.default_rng([cfg.seed, 0]), 0
        for seed in _seeds(cfg, self.replays):
            drawn = drawn_points(Random(), [unit(name) for name in names], total, seed)
            optimum = rng.random(self.relevant)
            losses = [
                np.square(x - optimum).sum(1).min() for x in (drawn[:, : self.relevant], grid)
            ]
            wins += losses[0] <= losses[1]
        return wins / self.replays


@dataclasses.dataclass(frozen=True)
class RandomReachesTop(ConfigMeasure):
    """Share of replays in which random search has a trial among the best of the space: in an
    interval of that share of one dimension, which each replay draws uniformly.

    trials: of random search; top: share of the space that is good enough
    """

    trials: Count = 60
    top: Proportion = 0.05
    replays: Count = 200

    def of_config(self, cfg: DictConfig) -> float:
        rng, hits = np.random.default_rng([cfg.seed, 1]), 0
        for seed in _seeds(cfg, self.replays):
            drawn = drawn_points(Random(), [unit("x0")], self.trials, seed)[:, 0]
            start = rng.random() * (1 - self.top)
            hits += bool(((drawn >= start) & (drawn < start + self.top)).any())
        return hits / self.replays


def drawn_points(sampler: Sampler, space: list[Dimension], total: int, seed: int) -> np.ndarray:
    """Parameters of the trials of a search. [total, dimensions] float64."""
    study = Study(Path(), "", (), (), tuple(space), {}, None, seed, total, ())
    trials = [sampler.draw(study, slot, ()) for slot in range(total)]
    return np.array([[one[dimension.key] for dimension in space] for one in trials], np.float64)


def unit(name: str) -> Dimension:
    """The interval from 0 to 1."""
    return Dimension(name, "interval", 0.0, 1.0)


def _seeds(cfg: DictConfig, count: int) -> Iterator[int]:
    """Seeds of the samplers, apart for each run of the study."""
    return iter(range(cfg.seed * count, (cfg.seed + 1) * count))
