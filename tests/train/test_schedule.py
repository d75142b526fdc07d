"""Schedules at points where their value is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from fxformer.train.schedule import (
    WSD,
    Constant,
    Cosine,
    InverseSqrt,
    LinearDecay,
    OneCycle,
    extended,
)

POINTS = [
    (Constant(), 100, {0: 1, 99: 1}),
    (Constant(warmup=10), 100, {0: 0.1, 4: 0.5, 9: 1, 50: 1}),
    (LinearDecay(warmup=0.1), 110, {0: 1 / 11, 10: 1, 11: 1, 60.5: 0.5, 110: 0, 200: 0}),
    (LinearDecay(final=0.2), 100, {0: 1, 50: 0.6, 100: 0.2}),
    (Cosine(warmup=20), 120, {9: 0.5, 20: 1, 70: 0.5, 120: 0}),
    (Cosine(final=0.1), 100, {0: 1, 50: 0.55, 100: 0.1}),
    (InverseSqrt(warmup=100), 10_000, {49: 0.5, 99: 1, 399: 0.5, 9999: 0.1}),
    (WSD(warmup=10, decay=0.2), 110, {9: 1, 50: 1, 90: 1, 95: 0.5, 110: 0}),
    (WSD(decay=0.5, power=1.0, final=0.5), 100, {50: 1, 75: 0.75, 100: 0.5}),
    (OneCycle(rise=0.4, start=0.1, final=0.0), 100, {0: 0.1, 20: 0.55, 40: 1, 70: 0.5, 100: 0}),
]


@pytest.mark.parametrize(("schedule", "until", "points"), POINTS)
def test_known_points(schedule, until, points):
    share = schedule(until)
    assert {count: float(share(count)) for count in points} == pytest.approx(points, abs=1e-6)


@pytest.mark.parametrize(("schedule", "until"), [(s, u) for s, u, _ in POINTS])
def test_shares_lie_between_0_and_1(schedule, until):
    share = schedule(until)
    assert all(0 <= float(share(count)) <= 1 for count in range(0, 2 * until, until // 10))


def test_a_budget_takes_the_place_of_the_updates_where_it_is_further_on():
    share = LinearDecay(warmup=10)(110)
    assert float(share(20, 0.5)) == pytest.approx(0.5)
    assert float(share(85, 0.5)) == pytest.approx(0.25)  # the updates are further on
    assert float(share(4, 0.5)) == pytest.approx(0.5)  # the warm-up is counted in updates
    assert float(share(20, 3.0)) == 0


def test_a_warmup_longer_than_the_run_is_refused():
    with pytest.raises(ValueError, match=r"warmup=200 is 200 of 100 steps.*warmup=10"):
        LinearDecay(warmup=200)(100)


def test_a_run_that_is_extended_by_hold_keeps_its_rate_and_decays_at_the_end():
    """Extended from 20 to 40 updates: as before up to 20, then level, then down over 4 updates."""
    short, count = Cosine(warmup=2), jnp.arange(40)
    before, now = short(20)(count[:20]), extended(short, [20, 40])(count)
    np.testing.assert_allclose(now[:20], before, atol=1e-7)
    np.testing.assert_allclose(now[20:37], before[19], rtol=1e-6)
    np.testing.assert_allclose(now[37:], before[19] * np.array([3, 2, 1]) / 4, rtol=1e-5)
    again = extended(short, [20, 40, 60])(jnp.arange(60))
    np.testing.assert_allclose(again[:40], now, atol=1e-7)
    np.testing.assert_allclose(again[40:50], now[39], rtol=1e-6)
    np.testing.assert_allclose(extended(short, [40])(count), short(40)(count))
