"""A thinned curve keeps every peak, both ends, and the mean."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fxformer.dashboard.curves import extremes, means, significant


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 3000), st.integers(2, 200), st.integers(0, 10**6))
def test_extremes_keep_what_is_to_be_seen(size, points, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=size)
    values[rng.random(size) < 0.05] = np.nan
    picked = extremes(values, points)
    finite = np.flatnonzero(np.isfinite(values))
    assert len(picked) <= points + 2 and (np.diff(picked) > 0).all()
    if len(finite):
        assert picked[0] == finite[0] and picked[-1] == finite[-1]
        assert values[picked].max() == values[finite].max()
        assert values[picked].min() == values[finite].min()


def test_a_single_spike_is_seen_and_so_is_its_place():
    values = np.zeros(100_000)
    values[54_321] = 9.0
    assert 54_321 in extremes(values, 100)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 3000), st.integers(2, 200))
def test_means_are_of_equal_stretches(size, points):
    values = np.arange(size, dtype=np.float64)
    last, mean = means(values, points)
    starts = np.concatenate(([0], last[:-1] + 1))
    np.testing.assert_allclose(mean, (starts + last) / 2)  # of a ramp: the middle of the stretch
    assert last[-1] == size - 1 and len(last) <= points


def test_rounding_is_to_digits_that_count():
    given = np.array([0.0, 1234567.0, -0.00012345678, np.nan, np.inf])
    np.testing.assert_array_equal(
        significant(given, 4), [0.0, 1235000.0, -0.0001235, np.nan, np.inf]
    )
