"""Which parameters a trial gets: each sampler is a class, `draw` its whole interface.

Grid, random and quasi-random parameters are a pure function of (seed, slot): who draws them, when,
and what has ended before makes no difference. TPE's follow from (seed, slot, what was known when
the trial was taken up); they are recorded then and never drawn again.
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
    """pure: whether `draw` passes over `trials`, so that parameters are known beforehand."""

    pure: ClassVar[bool]

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """Parameters of a slot."""


@dataclasses.dataclass(frozen=True)
class Auto:
    """A grid where all dimensions are enumerated, else random: what `-m` does by itself."""

    def settle(self, dimensions: Sequence[Dimension]) -> "Grid | Random":
        """The sampler it stands for."""
        return Random() if space.size(dimensions) is None else Grid()


@dataclasses.dataclass(frozen=True)
class Grid:
    """Every combination, the last key fastest."""

    pure: ClassVar[bool] = True

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """Parameters of a slot below `space.size`."""
        sizes = [len(one.choices) for one in study.space]
        places = np.unravel_index(slot, sizes) if sizes else ()
        return {one.key: one.choices[place] for one, place in zip(study.space, places, strict=True)}


@dataclasses.dataclass(frozen=True)
class Random:
    """Independent draws. Bergstra and Bengio 2012."""

    pure: ClassVar[bool] = True

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """Parameters of any slot."""
        rng = np.random.default_rng([study.seed, slot])
        return {one.key: space.at(one, rng.random()) for one in study.space}


@dataclasses.dataclass(frozen=True)
class QuasiRandom:
    """Scrambled Sobol points: random, but no two close by chance. Best at powers of two."""

    pure: ClassVar[bool] = True

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """Parameters of any slot."""
        point = _sobol(len(study.space), study.seed, slot)
        drawn = zip(study.space, point, strict=True)
        return {one.key: space.at(one, place) for one, place in drawn}


@functools.lru_cache(maxsize=4096)
def _sobol(dimensions: int, seed: int, slot: int) -> tuple[float, ...]:
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the number drawn so far is no power of two
        points = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
        if slot:
            points.fast_forward(slot)
        return tuple(points.random(1)[0].tolist())


@dataclasses.dataclass(frozen=True)
class TreeParzen:
    """Optuna's TPE: draws where what was good is denser than what was not. Bergstra et al. 2011.

    startup: so many trials are random first
    candidates: points of which the most promising one is taken
    A trial that diverged counts as the worst there is; running ones keep others away from them.
    """

    pure: ClassVar[bool] = False
    startup: Count = 10
    candidates: Count = 24

    def draw(self, study: Study, slot: int, trials: Sequence[Trial]) -> dict[str, Any]:
        """Parameters of a slot, given all `trials` as they stand."""
        if slot < self.startup:
            return Random().draw(study, slot, trials)
        import optuna

        seed = int(np.random.default_rng([study.seed, slot]).integers(2**31))
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=self.startup, n_ei_candidates=self.candidates, seed=seed
        )
        held = optuna_convert.memory(study, trials, sampler)
        asked = held.ask(optuna_convert.distributions(study.space))
        return {one.key: _tidy(one, asked.params[one.key]) for one in study.space}


def _tidy(dimension: Dimension, value: Any) -> Any:
    """Five digits, as `space.at` gives."""
    if dimension.kind != "interval":
        return value
    return min(max(float(f"{value:.5g}"), dimension.low), dimension.high)
