"""Samplers: draw the parameters of trials. Each sampler is a class with one method, `draw`.

Parameters of grid, random and Sobol samplers are a pure function of (seed, slot), independent of
other trials and of the worker. Those of TPE depend also on the trials known when the trial is
started; they are recorded and never drawn again.
"""

import dataclasses
import functools
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from fxformer.search import optuna_convert, space
from fxformer.search.study import Dimension, Study, Trial
from fxformer.types import Count


class Sampler(Protocol):
    """pure: whether `draw` ignores `trials`, so that all parameters are known in advance."""

    pure: ClassVar[bool]

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """The parameters of a slot, {key: value}."""
        ...


@dataclasses.dataclass(frozen=True)
class Auto:
    """Grid if all dimensions are enumerated, else random: the default of `-m`."""

    def resolve(self, dimensions: Sequence[Dimension]) -> "Grid | Random":
        """The sampler for a space."""
        return Random() if space.size(dimensions) is None else Grid()


@dataclasses.dataclass(frozen=True)
class Grid:
    """All combinations; the last key varies fastest."""

    pure: ClassVar[bool] = True

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """The parameters of a slot below `space.size`."""
        sizes = [len(one.choices) for one in study.space]
        places = np.unravel_index(slot, sizes) if sizes else ()
        return {one.key: one.choices[place] for one, place in zip(study.space, places, strict=True)}


@dataclasses.dataclass(frozen=True)
class Random:
    """Independent random draws. Bergstra and Bengio 2012."""

    pure: ClassVar[bool] = True

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """The parameters of a slot."""
        rng = np.random.default_rng([study.seed, slot])
        return {one.key: space.value_at(one, rng.random()) for one in study.space}


@dataclasses.dataclass(frozen=True)
class Sobol:
    """Scrambled Sobol sequence, a quasi-random sampler. Best with a power of two of trials."""

    pure: ClassVar[bool] = True

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """The parameters of a slot."""
        point = _sobol(len(study.space), study.seed, slot)
        drawn = zip(study.space, point, strict=True)
        return {one.key: space.value_at(one, place) for one, place in drawn}


@functools.lru_cache(maxsize=4096)
def _sobol(dimensions: int, seed: int, slot: int) -> tuple[float, ...]:
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a number of points that is no power of two
        points = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
        if slot:
            points.fast_forward(slot)
        return tuple(points.random(1)[0].tolist())


@dataclasses.dataclass(frozen=True)
class TPE:
    """Tree-structured Parzen estimator of Optuna. Bergstra et al. 2011.

    n_startup_trials: random trials before the estimator is used
    n_ei_candidates: candidates per draw; the one with the best expected improvement is used
    Diverged trials count as infinitely bad.
    """

    pure: ClassVar[bool] = False
    n_startup_trials: Count = 10
    n_ei_candidates: Count = 24

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """The parameters of a slot, given the current state of all `trials`."""
        if slot < self.n_startup_trials:
            return Random().draw(study, slot, trials)
        import optuna

        seed = int(np.random.default_rng([study.seed, slot]).integers(2**31))
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=self.n_startup_trials, n_ei_candidates=self.n_ei_candidates, seed=seed
        )
        optuna_study = optuna_convert.in_memory_study(study, trials, sampler)
        proposal = optuna_study.ask(optuna_convert.distributions(study.space))
        return {one.key: _rounded(one, proposal.params[one.key]) for one in study.space}


def _rounded(dimension: Dimension, value: Any) -> Any:
    """A float rounded to five digits, as by `space.value_at`."""
    if dimension.kind != "interval":
        return value
    return dimension.clipped(float(f"{value:.5g}"))
