"""R² of a line over arms, and its interval over seeds."""

import pytest

from fxformer.claims.analysis import Measurements
from fxformer.claims.linear_fit import LinearFit, determination

X = {"a": 1.0, "b": 2.0, "c": 4.0}


def found(y):
    """Numbers of two seeds; y: seed, x -> number."""
    cells = [(arm, seed) for arm in X for seed in (0, 1)]
    return Measurements(
        {
            "x": {(arm, None, seed): X[arm] for arm, seed in cells},
            "y": {(arm, None, seed): y(seed, X[arm]) for arm, seed in cells},
        }
    )


def fit(**options):
    return LinearFit(measure="y", by="x", over=list(X), above=0.95, **options)


def test_a_line_of_each_seed_is_explained_whole():
    made = fit().finding(found(lambda seed, x: 3 + (seed + 1) * x))
    assert made.effect.mean == pytest.approx(1) and made.decision == "holds"
    assert fit().measures == ("y", "x") and fit().arms == ("a", "b", "c")


def test_what_does_not_follow_fails_and_what_does_not_vary_explains_nothing():
    made = fit().finding(found(lambda seed, x: (x - 2.5) ** 2 + 0.01 * seed * x))
    assert made.effect.mean < 0.95 and made.decision == "fails"
    assert determination([1, 1, 1], [1, 2, 3]) == 0
    assert determination([1, 2, 3], [2, 1, 3]) == pytest.approx(0.25)
