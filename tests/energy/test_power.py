"""Power samples integrated to joules."""

import math

import pytest

from fxformer.energy.sensor import IntegratedPower
from fxformer.energy.shared_counter import SharedCounter
from tests.energy.fakes import Clock, Steady


def sampled(watts, clock, **models):
    power = IntegratedPower("p", watts, seconds=60, sigma=0.1, max_watts=3000.0)
    return SharedCounter(power, models, folder=None, clock=clock)


def test_a_ramp_is_integrated_exactly():
    clock = Clock()
    power = sampled(lambda: {"gpu": 10 * clock()}, clock)
    for _ in range(10):
        clock.go(1)
        power.sample()
    (reading,) = power.read()
    assert reading.joules == pytest.approx(500) and reading.provenance == "integrated"
    power.close()


@pytest.mark.parametrize("bad", [math.nan, -1.0, math.inf, 2.0**63 / 1e3])
def test_a_power_that_is_none_is_a_gap_and_not_the_end(bad):
    clock, now = Clock(), {"gpu": 100.0}
    power = sampled(lambda: dict(now), clock, gpu=Steady(clock, 40, name="m", device="gpu"))
    for value in (100.0, bad, 100.0, 100.0, 100.0):
        now["gpu"] = value
        clock.go(1)
        power.sample()
    measured, modelled = power.read()
    assert (measured.joules, modelled.joules) == (300, 80)  # two of five seconds touch the bad one
    power.close()


def test_a_power_that_cannot_be_read_once_is_bridged():
    clock, answers = Clock(), iter([{"gpu": 100.0}, {"gpu": 100.0}])
    power = sampled(lambda: next(answers), clock)  # the constructor takes the first
    clock.go(1)
    power.sample()
    power._counter.raw = lambda: {"gpu": 300.0}
    clock.go(1)
    assert power.read()[0].joules == pytest.approx(400)
    power.close()
