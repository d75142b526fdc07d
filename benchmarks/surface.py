"""A surface whose every answer is known, and what random search and grid find on it.

Over the unit cube, its ends joined, the loss at u is the largest of |u_k - c_k| over the few keys k
that matter; the others do nothing. The optimum c is drawn anew each time. With that

    grid of m values a key:   E[best] = e / (e + 1) / (2 m)
    n random draws:           E[best] = B(1/e, n + 1) / (2 e)        e: keys that matter

A trial takes 1 to 4 units of energy, by a key that does not change the loss if it is not one that
matters, as more layers or a longer context would; n is whatever the grid's energy pays for.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
from scipy import special

from fxformer.search import space
from fxformer.search.sample import Random
from fxformer.search.study import Dimension, Study


@dataclasses.dataclass(frozen=True)
class Duel:
    """keys: of the space; effective: those of them that matter, the first ones; levels: values of a
    key in the grid. The last key is the one that costs."""

    keys: int
    effective: int
    levels: int

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The space as a study has it."""
        return tuple(Dimension(f"u{n}", "interval", 0.0, 1.0) for n in range(self.keys))

    def grid(self) -> np.ndarray:
        """[levels^keys, keys]: the middles of equal cells."""
        middles = [(n + 0.5) / self.levels for n in range(self.levels)]
        axis = [space.value_at(self.dimensions[0], middle) for middle in middles]
        return np.stack(np.meshgrid(*[axis] * self.keys, indexing="ij"), -1).reshape(-1, self.keys)

    def draws(self, seed: int, budget: float) -> np.ndarray:
        """[n, keys]: what the search of a seed draws, as far as the budget pays."""
        study, rows, spent = self._study(seed), [], 0.0
        while True:
            row = list(Random().draw(study, len(rows), ()).values())
            spent += float(energy(np.array([row]))[0])
            if spent > budget:
                return np.array(rows)
            rows.append(row)

    def best(self, points: np.ndarray, optimum: np.ndarray) -> float:
        """The lowest loss of the points."""
        away = np.abs(points[:, : self.effective] - optimum[: self.effective])
        return float(np.minimum(away, 1 - away).max(1).min())

    def of_grid(self) -> float:
        """E[best] of the grid."""
        return self.effective / (self.effective + 1) / (2 * self.levels)

    def of_random(self, n: int) -> float:
        """E[best] of n random draws."""
        return float(special.beta(1 / self.effective, n + 1)) / (2 * self.effective)

    def run(self, repeats: int, seed: int = 0) -> dict[str, float]:
        """Repeat: a new optimum and a new search each time, the same energy for both."""
        rng, points = np.random.default_rng(seed), self.grid()
        budget = float(energy(points).sum())
        found = []
        for n in range(repeats):
            optimum, drawn = rng.random(self.keys), self.draws(1000 * seed + n, budget)
            found.append((self.best(points, optimum), self.best(drawn, optimum), len(drawn)))
        grid, random, trials = np.array(found).T
        gain = grid - random
        return {
            "repeats": repeats,
            "energy": budget,
            "grid_trials": len(points),
            "random_trials": float(trials.mean()),
            "grid_best": float(grid.mean()),
            "grid_exact": self.of_grid(),
            "random_best": float(random.mean()),
            "random_exact": float(np.mean([self.of_random(int(n)) for n in trials])),
            "random_error": error(random - [self.of_random(int(n)) for n in trials]),
            "grid_error": error(grid),
            "gain": float(gain.mean()),
            "gain_error": error(gain),
            "random_wins": float((gain > 0).mean()),
        }

    def _study(self, seed: int) -> Study:
        return Study(Path(), "", (), (), self.dimensions, {}, None, seed, 0, ("loss",))


def energy(points: np.ndarray) -> np.ndarray:
    """[n]: of each trial, by its last key."""
    return 1 + 3 * points[:, -1]


def error(each: np.ndarray) -> float:
    """One standard error of the mean."""
    return float(np.std(each, ddof=1) / math.sqrt(len(each)))
