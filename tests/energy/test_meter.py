"""The meter: joules to phases, sums that agree, and sensors that fail."""

import pytest

from fxformer.energy.meter import Meter
from fxformer.energy.sensor import Unreadable
from fxformer.energy.tdp import CPUModel, RAMModel
from fxformer.energy.totals import PHASES, EnergyTotals
from tests.energy.fakes import Clock, Steady


def test_a_hundred_watts_for_ten_seconds_are_a_thousand_joules():
    clock = Clock()
    meter = Meter([Steady(clock, 100)], clock=clock)
    with meter.phase("train"):
        clock.go(10)
    assert meter.read() == pytest.approx(1000)
    assert meter.joules / 3600 == pytest.approx(0.27778, abs=1e-5)  # Wh
    assert meter.totals().total.sigma == pytest.approx(100)


def test_phases_add_up_to_the_total_and_the_innermost_counts():
    clock = Clock()
    meter = Meter([Steady(clock, 50), Steady(clock, 7, name="b", device="ram")], clock=clock)
    clock.go(1)
    with meter.phase("train"):
        clock.go(2)
        with meter.phase("evaluate"):
            clock.go(3)
        clock.go(4)
    totals = meter.totals()
    by = totals.by("phase")
    assert {k: v.joules for k, v in by.items()} == {"idle": 57, "train": 57 * 6, "evaluate": 171}
    assert sum(v.joules for v in by.values()) == pytest.approx(totals.joules)
    assert sum(v.joules for v in totals.by("device").values()) == pytest.approx(totals.joules)
    assert totals.seconds == {"idle": 1, "train": 6, "evaluate": 3}


def test_a_slow_sensor_is_read_rarely_and_its_joules_spread_over_the_phases_between():
    clock = Clock()
    sensor = Steady(clock, 100, every=10)
    meter = Meter([sensor], clock=clock)
    for _ in range(9):
        with meter.phase("data"):
            clock.go(0.25)
        with meter.phase("train"):
            clock.go(0.75)
    assert sensor.reads == 0 and meter.joules == 0 and meter.provenance == "nothing counted"
    totals = meter.totals()
    assert sensor.reads == 1 and meter.provenance == "measured"
    assert totals.by("phase")["train"].joules == pytest.approx(675)
    assert totals.by("phase")["data"].joules == pytest.approx(225)


def test_errors_add_up_straight_within_a_sensor_and_in_squares_across():
    clock = Clock()
    meter = Meter(
        [Steady(clock, 100, sigma=0.1), Steady(clock, 100, name="b", sigma=0.1)], clock=clock
    )
    for phase in PHASES:
        with meter.phase(phase):
            clock.go(1)
    total = meter.totals().total
    seconds = len(PHASES)
    assert total.joules == pytest.approx(200 * seconds)
    assert total.sigma == pytest.approx(10 * seconds * 2**0.5)


def test_a_reading_that_is_no_number_loses_nothing():
    clock = Clock()
    sensor = Steady(clock, 100)
    meter = Meter([sensor], clock=clock)
    clock.go(1)
    meter.read()
    sensor.watts = float("nan")
    clock.go(1)
    assert meter.read() == 100
    sensor.watts = 100
    assert meter.read() == 200


def test_what_a_process_used_before_its_meter_is_its_startup():
    clock, used = Clock(), [7.0]
    cpu = CPUModel(tdp_watts=10, threads=1, sigma=0.4, since=0.0, seconds=lambda: used[0])
    ram = RAMModel(watts_per_gb=1.0, sigma=0.4, before=9.0, resident=lambda: 2e9, clock=clock)
    meter = Meter([cpu, ram], before=9.0, clock=clock, wall=lambda: 3600.0 + clock())
    with meter.phase("train"):
        used[0] += 1.0
        clock.go(1)
    totals = meter.totals()
    by = totals.by("phase")
    assert by["startup"].joules == 70 + 9 and by["train"].joules == 10 + 2
    assert totals.seconds == {"startup": 9.0, "train": 1.0, "idle": 0.0}
    assert sum(totals.hours.values()) == pytest.approx(totals.joules) and len(totals.hours) == 2


def test_a_failed_sensor_without_fallback_is_dropped_and_named():
    clock = Clock()
    meter = Meter([Steady(clock, 100, dies_at=5), Steady(clock, 1, name="b")], clock=clock)
    clock.go(6)
    assert meter.read() == 6
    assert [u.name for u in meter.unreadable] == ["fake"]


def test_a_resumed_meter_starts_from_the_totals_it_is_given():
    clock = Clock()
    first = Meter([Steady(clock, 100)], clock=clock)
    clock.go(10)
    prior = EnergyTotals.from_json(first.close().to_json())
    second = Meter([Steady(clock, 50)], prior=prior, clock=clock)
    assert second.joules == 1000
    clock.go(10)
    assert second.joules == pytest.approx(1500)
    assert second.own().joules == pytest.approx(500)
    assert second.totals().total.sigma == pytest.approx(150)  # the same sensor: the same error


def test_closing_freezes_the_totals_and_closes_the_sensors():
    clock = Clock()
    sensor = Steady(clock, 100)
    meter = Meter([sensor], clock=clock)
    clock.go(1)
    assert meter.close().joules == 100
    clock.go(1)
    assert meter.read() == 100 and sensor.closed


def test_a_sensor_that_cannot_even_be_closed_does_not_matter():
    clock = Clock()
    sensor = Steady(clock, 100)
    sensor.close = lambda: 1 / 0
    meter = Meter([sensor], clock=clock)
    clock.go(1)
    assert meter.close().joules == 100


def test_an_unknown_phase_names_the_nearest():
    with (
        pytest.raises(ValueError, match="did you mean 'train'"),
        Meter([Steady(Clock(), 1)]).phase("trian"),
    ):
        pass


def test_no_sensor_is_refused_unless_something_says_why():
    with pytest.raises(ValueError, match="count 0 J"):
        Meter([])
    Meter([], unreadable=[Unreadable("rapl", "read elsewhere", "nothing to do")])
