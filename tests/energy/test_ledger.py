"""The ledger: attempts add up, kills lose at most the last lines."""

import json
import subprocess
import sys
import time

import pytest

from fxformer import jsonl
from fxformer.energy.ledger import (
    STARTS,
    Ledger,
    attempts,
    early_attempts,
    early_cost,
    estimate_lost,
    totals,
)
from fxformer.energy.ledger_reader import GrowthStep, LedgerReader
from fxformer.energy.meter import Meter
from tests.energy.fakes import Clock, Steady


def attempt(path, seconds, *, close=True):
    clock = Clock()
    meter = Meter([Steady(clock, 100)], prior=totals(path), clock=clock)
    ledger = Ledger(path, every=2.0, clock=clock)
    for step in range(seconds):
        with meter.phase("train"):
            clock.go(1)
        ledger.write_if_due(meter, step=step)
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
        ledger.write_if_due(meter)
    lines = list(jsonl.read(path))
    assert [list(line["joules_by_hour"]) for line in lines] == [["2"], ["2"], ["3"], ["3"]]
    kept = totals(path)
    assert kept.hours == meter.own().hours == {2: 360000, 3: 360000}
    assert sum(kept.hours.values()) == pytest.approx(kept.joules)


def test_no_ledger_is_no_energy(tmp_path):
    assert totals(tmp_path / "none.jsonl").joules == 0


def line(joules):
    entry = ["train", "cpu", "model:cpu", "modelled", 0.4, joules]
    return json.dumps(
        {
            "attempt": "a",
            "time": 1.0,
            "joules": joules,
            "seconds_by_phase": {"train": 1.0},
            "entries": [entry],
        }
    )


@pytest.mark.parametrize("wrong", [
    {"entries": 3}, {"entries": [[1]]}, {"entries": [["train", "cpu", "s", "modelled", 0.4, "x"]]},
    {"joules": "nan"}, {"joules": None}, {"time": "inf"},
    {"joules_by_hour": [1]}, {"joules_by_hour": {"x": 1.0}}, {"joules_by_hour": {"3": "x"}},
    {"seconds_by_phase": 3}, {"seconds_by_phase": {"train": "x"}}, {"pid": "x"},
])  # fmt: skip
def test_a_line_of_wrong_types_is_named_and_the_one_before_it_counts(tmp_path, wrong):
    path = tmp_path / "energy.jsonl"
    path.write_text(line(5.0) + "\n" + json.dumps(json.loads(line(9.0)) | wrong) + "\n")
    reader = LedgerReader(path)
    assert reader.totals().joules == 5.0 and reader.problem.startswith("line 2: ")
    assert reader.growth() == [GrowthStep(1.0, 5.0, {})]
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


def metered(seconds=0):
    clock = Clock()
    meter = Meter([Steady(clock, 100)], clock=clock)
    clock.go(seconds)
    return clock, meter


def test_the_first_line_is_written_at_once_and_moves_with_the_run(tmp_path):
    clock, meter = metered(7)
    ledger = Ledger.for_new_run(
        tmp_path / "runs", start={"pue": 1.5, "gco2e_per_kwh": 100.0, "slot": 3}
    )
    ledger.start_thread(meter)
    (file,) = (tmp_path / "runs" / STARTS).iterdir()
    (line,) = jsonl.read(file)
    assert line["joules"] == 700 and line["start"]["slot"] == 3
    assert early_cost(line) == pytest.approx((1.5 * 700 / 3.6e6, 1.5 * 700 / 3.6e6 * 100))
    assert early_attempts(tmp_path / "runs") == {}  # its process, this one, lives
    (run := tmp_path / "runs" / "a").mkdir()
    ledger.move(run / "energy.jsonl")
    clock.go(1)
    ledger.close(meter)
    assert totals(run / "energy.jsonl").joules == 800
    assert "start" not in list(jsonl.read(run / "energy.jsonl"))[-1]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]


def test_a_start_that_is_refused_leaves_nothing(tmp_path):
    _, meter = metered()
    ledger = Ledger.for_new_run(tmp_path / "runs", start={})
    ledger.start_thread(meter)
    ledger.discard(meter)
    assert not (tmp_path / "runs").exists()
    ledger.write(meter)  # closed: the thread may come too late


def test_a_thread_writes_where_the_loop_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("fxformer.energy.ledger.MIN_SECONDS", 0.01)
    _, meter = metered()
    ledger = Ledger(tmp_path / "energy.jsonl", every=0.0)
    ledger.start_thread(meter)
    deadline = time.monotonic() + 300
    while len(list(jsonl.read(tmp_path / "energy.jsonl"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    ledger.close(meter)
    lines = list(jsonl.read(tmp_path / "energy.jsonl"))
    assert len(lines) >= 4 and [line.get("final") for line in lines][-2:] == [None, True]


KILLED = """
import os, sys
from fxformer.energy.ledger import Ledger
from tests.energy.fakes import Clock, Steady
from fxformer.energy.meter import Meter
clock = Clock()
meter = Meter([Steady(clock, 100)], clock=clock)
clock.go(7)
Ledger.for_new_run(sys.argv[1], every=4.0, start={"pue": 2.0, "gco2e_per_kwh": 50.0,
                                            "sweep": "s", "slot": 5}).start_thread(meter)
os.kill(os.getpid(), 9)
"""


def test_what_is_killed_at_its_start_is_in_the_sums_and_what_was_lost_is_estimated(
    tmp_path, capsys
):
    from fxformer.search import study_io
    from fxformer.search.study import Study, Trial
    from fxformer.track.commands import energy

    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (line,) = early_attempts(tmp_path).values()
    assert line["joules"] == 700 and estimate_lost(line) == 200  # 100 W for half of four seconds
    energy([f"runs={tmp_path}", "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    assert found["joules"] == 700 and found["kwh"] == pytest.approx(1400 / 3.6e6)
    assert found["early_attempts"]["attempts"] == 1 and found["early_attempts"]["joules"] == 700
    assert found["killed"] == {"attempts": 1, "lost_joules": 200}
    energy([f"runs={tmp_path}"])
    said = " ".join(capsys.readouterr().out.split())
    assert "700 J of 1 attempt that ended before" in said and "about 200 J (estimated)" in said
    study = Study(tmp_path / ".searches" / "s", "s", (), (), (), {}, None, 0, 9, ("loss",))
    with_energy = [study_io.with_energy(study, Trial(slot)) for slot in (4, 5)]
    assert [trial.joules for trial in with_energy] == [0, 700]
    assert study_io.with_energy(study, with_energy[1]).joules == 700  # once
