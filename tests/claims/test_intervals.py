"""Intervals of claims: equal to scipy's, and with the coverage that they state."""

import numpy as np
import pytest
from scipy import stats

from fxformer.claims.analysis import Measurements
from fxformer.claims.counts import ExactNumber, RunProportion
from fxformer.claims.exponent import LogLogSlope
from fxformer.claims.intervals import clopper_pearson, welch, wilson
from fxformer.claims.means import Equivalence, MeanDifference, MeanOrder, MeanRatio, MeanValue
from fxformer.errors import UserError

REPEATS = 1500


def table(**arms):
    """Measurements of one measure "y" of arms {name: numbers by seed}."""
    cells = {(arm, None, n): float(v) for arm, own in arms.items() for n, v in enumerate(own)}
    return Measurements({"y": cells})


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_welch_is_scipys(confidence):
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 2, 5), rng.normal(0, 0.3, 9)
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(confidence)
    ours = welch(a, b, confidence)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    assert ours.mean == pytest.approx(a.mean() - b.mean()) and ours.n == 5


def test_welch_of_constant_samples_is_a_point_and_of_one_number_has_no_interval():
    assert (welch([2, 2], [1, 1], 0.95).low, welch([2, 2], [1, 1], 0.95).high) == (1, 1)
    assert welch([2], [1, 3], 0.95).low is None


def test_the_paired_interval_is_scipys():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 6), rng.normal(0, 1, 6)
    theirs = stats.ttest_rel(a, b).confidence_interval(0.95)
    one = MeanDifference(measure="y", arm="a", baseline="b", above=0, interval="paired")
    ours = one.finding(table(a=a, b=b)).effect
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


@pytest.mark.parametrize("method", ["exact", "wilson"])
@pytest.mark.parametrize("successes", [0, 1, 7, 20])
def test_intervals_of_proportions_are_scipys(method, successes):
    theirs = stats.binomtest(successes, 20).proportion_ci(0.95, method=method)
    ours = (clopper_pearson if method == "exact" else wilson)(successes, 20, 0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5])
def test_clopper_pearson_covers_at_least_what_it_states(share):
    """By the binomial distribution, without simulation."""
    counts = np.arange(21)
    covers = [
        one.low <= share <= one.high for one in (clopper_pearson(n, 20, 0.95) for n in counts)
    ]
    assert stats.binom.pmf(counts, 20, share) @ np.array(covers) >= 0.95


def rate(decide) -> float:
    """Share of simulated studies for which `decide(rng)` is true."""
    rng = np.random.default_rng(7)
    return sum(decide(rng) for _ in range(REPEATS)) / REPEATS


def near(expected: float) -> float:
    """Three standard errors of a simulated rate."""
    return 3 * np.sqrt(expected * (1 - expected) / REPEATS)


@pytest.mark.parametrize("interval", ["welch", "paired"])
def test_a_difference_of_means_covers_the_true_one(interval):
    one = MeanDifference(measure="y", arm="a", baseline="b", above=0, interval=interval)

    def covered(rng):
        found = one.finding(table(a=rng.normal(1, 1, 5), b=rng.normal(0, 3, 5))).effect
        return found.low <= 1 <= found.high

    assert abs(rate(covered) - 0.95) < near(0.95) + 0.01  # Welch's freedom is approximate


def test_equivalence_is_claimed_wrongly_at_most_once_in_twenty():
    """The true difference is the margin; and a small one is found where there are seeds enough."""
    one = Equivalence(measure="y", arm="a", baseline="b", margin=1.0)

    def claimed(rng, difference, n):
        found = one.finding(table(a=rng.normal(difference, 0.5, n), b=rng.normal(0, 0.5, n)))
        return found.decision == "holds"

    assert rate(lambda rng: claimed(rng, 1.0, 5)) < 0.05 + near(0.05)
    assert rate(lambda rng: claimed(rng, 0.0, 8)) > 0.8


def test_no_difference_found_is_no_equivalence():
    """Five noisy seeds: the interval holds 0 and is far wider than the margin."""
    rng = np.random.default_rng(0)
    found = table(a=rng.normal(0, 5, 5), b=rng.normal(0, 5, 5))
    one = Equivalence(measure="y", arm="a", baseline="b", margin=0.5)
    assert one.finding(found).decision == "undecided"


def test_an_order_is_claimed_wrongly_at_most_at_its_level():
    """The first two of three means are equal: both steps are never needed more than one error."""
    one = MeanOrder(measure="y", order=["a", "b", "c"])

    def claimed(rng):
        arms = {name: rng.normal(mean, 1, 5) for name, mean in zip("abc", (0, 0, 9), strict=True)}
        return one.finding(table(**arms)).decision == "holds"

    assert rate(claimed) < 0.025 + near(0.025)


def test_an_order_is_denied_wrongly_at_most_at_its_level():
    one = MeanOrder(measure="y", order=["a", "b", "c"])

    def denied(rng):
        arms = {name: rng.normal(0, 1, 5) for name in "abc"}
        return one.finding(table(**arms)).decision == "fails"

    assert rate(denied) < 0.05 + near(0.05)


def test_a_slope_covers_the_true_exponent():
    one = LogLogSlope(measure="y", arm="a", above=0)
    levels = np.array([2.0, 4.0, 8.0, 16.0])

    def covered(rng):
        noise = np.exp(rng.normal(0, 0.2, (4, 4)))
        cells = {
            ("a", level, seed): 3 * level**-0.5 * noise[seed, n]
            for n, level in enumerate(levels) for seed in range(4)
        }  # fmt: skip
        found = one.finding(Measurements({"y": cells})).effect
        return found.low <= -0.5 <= found.high

    assert abs(rate(covered) - 0.95) < near(0.95)


def test_decisions_by_region():
    low = table(a=[1.0, 1.1, 0.9, 1.0])
    assert MeanValue(measure="y", arm="a", above=0.5).finding(low).decision == "holds"
    assert MeanValue(measure="y", arm="a", above=2).finding(low).decision == "fails"
    assert MeanValue(measure="y", arm="a", above=1).finding(low).decision == "undecided"
    assert MeanValue(measure="y", arm="a", above=0).finding(table(a=[1])).decision == "undecided"
    assert MeanValue(measure="y", arm="b", above=0).finding(low).effect.n == 0


def test_a_ratio_is_one_of_geometric_means():
    found = table(a=[2, 8], b=[1, 4])
    effect = MeanRatio(measure="y", arm="a", baseline="b", above=1).finding(found).effect
    assert effect.mean == pytest.approx(2)


def test_exact_numbers_and_shares():
    found = table(a=[114, 114, 114], b=[114, 114, 113])
    exact = {"measure": "y", "above": 114, "below": 114}
    assert ExactNumber(arm="a", **exact).finding(found).decision == "holds"
    assert ExactNumber(arm="b", **exact).finding(found).decision == "fails"
    share = RunProportion(measure="y", arm="b", threshold=114, above=0).finding(found).effect
    assert (share.mean, share.n) == (pytest.approx(2 / 3), 3)


def test_a_region_is_needed():
    with pytest.raises(UserError, match="region"):
        MeanValue(measure="y", arm="a")
    with pytest.raises(UserError, match="margin"):
        Equivalence(measure="y", arm="a", baseline="b", margin=1, above=0)


def test_a_ratio_of_numbers_that_are_not_positive_is_undecided():
    """Leaving them out would leave a sample of the larger ones."""
    one = MeanRatio(measure="y", arm="a", baseline="b", above=1)
    assert one.finding(table(a=[2, 4, 8], b=[1, 2, 4])).decision != "fails"
    assert one.finding(table(a=[1e-200, 1e200], b=[1, 1])).effect.high == float("inf")
    found = one.finding(table(a=[2, 0, 8], b=[1, 2, 4]))
    assert (found.decision, found.effect.n) == ("undecided", 0)
