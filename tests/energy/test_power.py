"""Joules from sampled watts."""

import pytest

from fxformer.energy.power import IntegratedPower
from tests.energy.fakes import Clock


def test_a_ramp_is_integrated_exactly():
    clock = Clock()
    power = IntegratedPower("p", lambda: {"gpu": 10 * clock()}, seconds=60, sigma=0.1, clock=clock)
    for _ in range(10):
        clock.go(1)
        power.sample()
    assert power.read()[0].joules == pytest.approx(500)
    power.close()


def test_what_the_meter_raises_the_reader_gets():
    answers = iter([{"gpu": 1.0}])
    power = IntegratedPower("p", lambda: next(answers), seconds=60, sigma=0.1)
    power.sample()
    with pytest.raises(StopIteration):
        power.read()
    power.close()
