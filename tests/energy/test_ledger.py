"""The ledger: attempts add up, kills lose at most the last lines."""

import pytest

from fxformer import jsonl
from fxformer.energy.ledger import Ledger, attempts, totals
from fxformer.energy.meter import Meter
from tests.energy.fakes import Clock, Steady


def attempt(path, seconds, *, close=True):
    clock = Clock()
    meter = Meter([Steady(clock, 100)], prior=totals(path), clock=clock)
    ledger = Ledger(path, every=2.0, clock=clock)
    for step in range(seconds):
        with meter.phase("train"):
            clock.go(1)
        ledger.keep(meter, step=step)
    if close:
        ledger.close(meter)
    return meter


def test_attempts_add_up_and_each_counts_once(tmp_path):
    path = tmp_path / "energy.jsonl"
    attempt(path, 10)
    last = attempt(path, 5)
    assert totals(path).joules == pytest.approx(1500) == last.read()
    assert len(attempts(path)) == 2


def test_a_killed_attempt_counts_up_to_its_last_line(tmp_path):
    path = tmp_path / "energy.jsonl"
    attempt(path, 9, close=False)
    with open(path, "a") as file:
        file.write('{"attempt": "x", "entri')  # torn by the kill
    assert totals(path).joules == pytest.approx(800)
    attempt(path, 3)
    assert totals(path).joules == pytest.approx(1100)
    assert totals(path).by("phase")["train"].joules == pytest.approx(1100)


def test_hours_are_written_once_each_and_read_back_whole(tmp_path):
    path, clock = tmp_path / "energy.jsonl", Clock()
    meter = Meter([Steady(clock, 100)], clock=clock, wall=lambda: 7200 + clock())
    ledger = Ledger(path, every=0, clock=clock)
    for _ in range(4):
        clock.go(1800)
        ledger.keep(meter)
    lines = list(jsonl.read(path))
    assert [list(line["hours"]) for line in lines] == [["2"], ["2"], ["3"], ["3"]]
    kept = totals(path)
    assert kept.hours == meter.own().hours == {2: 360000, 3: 360000}
    assert sum(kept.hours.values()) == pytest.approx(kept.joules)


def test_no_ledger_is_no_energy(tmp_path):
    assert totals(tmp_path / "none.jsonl").joules == 0
