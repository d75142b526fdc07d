"""Importance: a key that rules is found, keys that do nothing are not told from chance."""

import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from fxformer.search.importance import MIN_TRIALS, importances

SPACE = {
    "lr": FloatDistribution(1e-5, 1e-1, log=True),
    "layers": CategoricalDistribution([2, 4, 6]),
    "dropout": FloatDistribution(0.0, 0.5),
}


def drawn(rng, number):
    return [
        {
            "lr": float(10 ** rng.uniform(-5, -1)),
            "layers": int(rng.choice([2, 4, 6])),
            "dropout": float(rng.uniform(0, 0.5)),
        }
        for _ in range(number)
    ]


def test_the_key_that_rules_is_first_and_no_chance():
    rng = np.random.default_rng(0)
    params = drawn(rng, 40)
    values = [(math.log10(one["lr"]) + 3) ** 2 for one in params]
    first, *rest = importances(SPACE, params, values)
    assert first.key == "lr" and first.share > 0.7 and first.p_value <= 0.01
    assert sum(one.share for one in (first, *rest)) == pytest.approx(1)


def test_chance_is_a_true_p_value():
    """Where nothing matters, chance <= 0.1 happens in a tenth of the cases: 5 sigma of 3 x 50."""
    rng, low = np.random.default_rng(1), 0
    for case in range(50):
        params = drawn(rng, 12)
        found = importances(SPACE, params, rng.normal(size=12), permutations=19, seed=case)
        low += sum(one.p_value <= 0.1 for one in found)
    # ties of a choice's few values only make chance larger, never smaller
    assert low <= 15 + 5 * math.sqrt(150 * 0.1 * 0.9)


def test_too_few_trials_are_said():
    rng = np.random.default_rng(2)
    with pytest.raises(ValueError, match=f"requires {MIN_TRIALS} finished trials, got 9"):
        importances(SPACE, drawn(rng, 9), rng.normal(size=9))
