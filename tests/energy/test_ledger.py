"""The ledger: attempts add up, kills lose at most the last lines."""

import json

import pytest

from fxformer import jsonl
from fxformer.energy.ledger import Ledger, attempts, totals
from fxformer.energy.ledger_reader import LedgerReader
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


def line(joules):
    entry = ["train", "cpu", "model:cpu", "modelled", 0.4, joules]
    return json.dumps({"attempt": "a", "time": 1.0, "joules": joules, "seconds": {"train": 1.0},
                       "entries": [entry]})


@pytest.mark.parametrize("wrong", [
    {"entries": 3}, {"entries": [[1]]}, {"entries": [["train", "cpu", "s", "modelled", 0.4, "x"]]},
    {"joules": "nan"}, {"joules": None}, {"time": "inf"}, {"hours": [1]}, {"hours": {"x": 1.0}},
    {"hours": {"3": "x"}}, {"seconds": 3}, {"seconds": {"train": "x"}}, {"pid": "x"},
])  # fmt: skip
def test_a_line_of_wrong_types_is_named_and_the_one_before_it_counts(tmp_path, wrong):
    path = tmp_path / "energy.jsonl"
    path.write_text(line(5.0) + "\n" + json.dumps(json.loads(line(9.0)) | wrong) + "\n")
    reader = LedgerReader(path)
    assert reader.totals().joules == 5.0 and reader.problem.startswith("line 2: ")
    assert reader.growth() == [(1.0, 5.0)]
    with open(path, "a") as file:
        file.write(line(11.0) + "\n")
    assert reader.totals().joules == 11.0 == totals(path).joules


def test_a_last_line_counts_once_it_is_whole(tmp_path):
    path, whole = tmp_path / "energy.jsonl", line(5.0)
    path.write_text(whole[:-9])
    reader = LedgerReader(path)
    assert reader.totals().joules == 0
    path.write_text(whole)
    assert reader.totals().joules == 5.0 and reader.problem is None
    with open(path, "a") as file:
        file.write("\n" + line(6.0) + "\n")
    assert reader.totals().joules == 6.0 and len(reader.growth()) == 2
