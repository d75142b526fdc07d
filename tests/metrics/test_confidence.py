"""Confidence intervals: coverage, equality with scipy, paired comparison in the right direction."""

import numpy as np
import pytest
from scipy import stats

from fxformer.errors import UserError
from fxformer.metrics.calibration import NegativeLogLikelihood
from fxformer.metrics.classification import Accuracy, MacroF1
from fxformer.metrics.confidence import (
    ConfidenceInterval,
    bootstrap,
    paired_bootstrap,
    resampled,
)
from fxformer.metrics.correlation import Pearson
from tests.metrics.random_predictions import classification


def hits(*values):
    """Statistics of the accuracy with these hits."""
    hit = np.array(values, np.float64)
    return np.stack([np.ones(len(hit)), hit], axis=1)


def test_seeds_by_students_t():
    numbers = [0.91, 0.93, 0.90, 0.95, 0.92]
    found = ConfidenceInterval.of(numbers)
    wanted = stats.t.interval(0.95, 4, np.mean(numbers), stats.sem(numbers))
    assert (found.low, found.high) == pytest.approx(wanted) and found.n == 5
    assert ConfidenceInterval.of([1.0]) == ConfidenceInterval(1.0, 1)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_close_to_scipy(method):
    """A skewed mean: both ends within the noise of two bootstraps of 4,000 resamples."""
    drawn = np.random.default_rng(0).exponential(size=80)
    rows = np.stack([drawn, np.ones(80)], axis=1)
    found = bootstrap(NegativeLogLikelihood(), rows, method=method, resamples=4000)["nll"]
    theirs = stats.bootstrap((drawn,), np.mean, n_resamples=4000, method=method, rng=1)
    width = found.high - found.low
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.05 * width)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.05 * width)
    assert found.value == pytest.approx(drawn.mean())


def test_the_interval_covers():
    """The true accuracy of 0.8 lies in about 95 % of the intervals."""
    rng, covered = np.random.default_rng(3), 0
    for seed in range(100):
        rows = hits(*(rng.random(100) < 0.8))
        found = bootstrap(Accuracy(), rows, resamples=200, seed=seed, method="percentile")
        covered += found["accuracy"].low <= 0.8 <= found["accuracy"].high
    assert 87 <= covered <= 99


def test_a_function_of_the_seed():
    rows = MacroF1().statistics(*classification(5, classes=3, examples=40))
    first, same, other = (bootstrap(MacroF1(), rows, resamples=99, seed=s) for s in (0, 0, 1))
    assert first == same and first != other
    interval = first["f1_macro"]
    assert interval.low < interval.value < interval.high


def test_resamples_do_not_depend_on_the_chunks(monkeypatch):
    whole = np.concatenate(list(resampled(7, 50, 3)))
    monkeypatch.setattr("fxformer.metrics.confidence.CHUNK", 20)
    assert np.array_equal(np.concatenate(list(resampled(7, 50, 3))), whole)
    assert (whole.sum(axis=1) == 7).all()


def test_degenerate_sets():
    certain = bootstrap(Accuracy(), hits(1, 1, 1, 1))["accuracy"]
    assert (certain.low, certain.value, certain.high) == (1, 1, 1)
    alone = bootstrap(Accuracy(), hits(1))["accuracy"]
    assert alone.value == 1 and alone.low is None
    constant = np.stack([np.ones(5), np.arange(5.0)], axis=1)
    assert bootstrap(Pearson(), constant, resamples=20)["pearson"].low is None
    two = np.array([[0.0, 0.0], [1.0, 1.0]])  # half of the resamples are constant
    assert bootstrap(Pearson(), two, resamples=500)["pearson"].undefined > 100


def test_paired_comparison():
    rng = np.random.default_rng(0)
    easy = rng.random(300)  # how easy the examples are, for both systems
    first, second = (hits(*(easy + shift > 0.5)) for shift in (0.0, 0.06))
    found = paired_bootstrap(Accuracy(), first, second)["accuracy"]
    assert found.difference > 0 and found.better == "second" and found.p_value < 0.01
    assert paired_bootstrap(Accuracy(), second, first)["accuracy"].better == "first"
    separate = bootstrap(Accuracy(), first)["accuracy"]
    assert separate.high > bootstrap(Accuracy(), second)["accuracy"].low  # which they do not show
    same = paired_bootstrap(Accuracy(), first, first)["accuracy"]
    assert same.p_value == 1 and same.better is None


def test_the_lower_loss_is_the_better_one():
    loss = np.random.default_rng(0).exponential(size=200)
    first, second = (np.stack([loss + more, np.ones(200)], axis=1) for more in (0.5, 0.0))
    found = paired_bootstrap(NegativeLogLikelihood(), first, second)["nll"]
    assert found.difference < 0 and found.better == "second"


def test_pairs_need_the_same_examples():
    with pytest.raises(UserError, match="the same examples.* got 2 and 3"):
        paired_bootstrap(Accuracy(), hits(1, 0), hits(1, 0, 1))
    with pytest.raises(UserError, match="a confidence between 0 and 1"):
        bootstrap(Accuracy(), hits(1, 0), confidence=95)
