"""A worker among others: ends of all kinds, resuming, taking over, stopping, budgets, pruning."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from search import fake_worker

from fxformer.search import launchers, study_io
from fxformer.search.leases import FileLeases
from fxformer.search.process import Resources, TrialCommands, split_resources
from fxformer.search.sample import Random
from fxformer.search.scheduler import next_trial
from fxformer.search.study import Study
from fxformer.search.worker import FinishedTrial, RunningTrial, Worker

ROOT = Path(__file__).resolve().parents[2]


class Late:
    """A sampler whose draws are not known beforehand."""

    pure = False

    def draw(self, study, slot, trials):
        return {"x": 1e-3, "y": slot % 3}


@pytest.fixture(autouse=True)
def path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FAKE", "")


def controller(
    runs: Path, trials: int, workers: int, fake: str, gate: Path = Path("/")
) -> subprocess.Popen:
    """A worker in a process of its own. gate: file that trials wait for before their last step"""
    program = str(Path(__file__).with_name("fake_worker.py"))
    argv = [sys.executable, program, str(runs), "s", str(trials), str(workers)]
    env = os.environ | {"FAKE": fake, "FAKE_GATE": str(gate)}
    env["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests'}"
    return subprocess.Popen(argv, env=env, start_new_session=True)


def completions(study: Study) -> list[int]:
    """The slots that were run to their end, by the trials' own account, in numerical order."""
    return sorted(map(int, (study.folder / "completions").read_text().split()))


def test_the_first_failure_ends_a_search_that_fails_fast(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE", "steps=4 1:bad")
    study, stopped = fake_worker.work(
        fake_worker.study(tmp_path, total=4), fake_worker.search(fail_fast=True)
    )
    states = [trial.state for trial in study.trials()]
    assert states == ["complete", "failed", "waiting", "waiting"]
    assert stopped == "trial 1 failed (search.fail_fast)"


def test_a_config_that_is_drawn_late_is_judged_before_it_starts(tmp_path, monkeypatch):
    """CounterRNG that follow from earlier trials are not known beforehand."""
    monkeypatch.setenv("FAKE", "steps=1")
    asked = fake_worker.search(skip_illegal=True, sampler=Late())
    job = fake_worker.job(fake_worker.study(tmp_path, total=3), asked)
    job = dataclasses.replace(job, reject=lambda words: "no" if "y=1" in words else None)
    asked.launcher(job)
    trial = job.study.trial(1)
    assert (trial.state, trial.reason, trial.run) == ("skipped", "fxformer: no", None)


def test_every_end_is_recorded_and_the_search_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE", "1:raise 2:kill! 3:oom! 4:diverge 5:bad")
    study, stopped = fake_worker.work(fake_worker.study(tmp_path), fake_worker.search(workers=2))
    trials = study.trials()
    assert stopped == "" and [one.state for one in trials] == [
        "complete", "complete", "failed", "failed", "failed", "failed",
    ]  # fmt: skip
    assert [one.attempts for one in trials] == [1, 2, 2, 2, 1, 1]  # a crash is tried again once
    assert [one.code for one in trials] == [0, 0, -9, 1, 3, 2]
    for one, said in zip(
        trials[2:],
        ("SIGKILL", "out of memory", "5 consecutive updates", "not divisible"),
        strict=True,
    ):
        assert said in one.reason and one.value is None
    # 6 steps of 1 Wh; what died in its third step is charged for it, both times
    assert [round(1000 * one.kwh) for one in trials] == [6, 7, 4, 4, 3, 3]
    assert "RuntimeError: boom" in study.log(1).read_text()
    for one in trials:
        assert one.params == Random().draw(study, one.slot, ())


def test_a_retry_goes_on_from_its_checkpoint_in_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE", "0:kill")
    study, _ = fake_worker.work(fake_worker.study(tmp_path, total=1), fake_worker.search())
    (trial,) = study.trials()
    assert trial.state == "complete"
    assert [report[0] for report in trial.reports] == [1, 2, 3, 4, 5, 6]
    assert len(list(tmp_path.glob("run-*"))) == 1


def test_nothing_but_nan_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE", "steps=3 0:nan")
    study, _ = fake_worker.work(
        fake_worker.study(tmp_path, total=1), fake_worker.search(value="last")
    )
    (trial,) = study.trials()
    assert (trial.state, trial.code, trial.attempts) == ("failed", 3, 1)
    assert trial.reason == "loss is nan"


def test_the_same_search_again_does_what_is_missing_only(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE", "1:raise!")
    study, _ = fake_worker.work(fake_worker.study(tmp_path, total=2), fake_worker.search(retries=0))
    before = [study.path(slot).read_bytes() for slot in range(2)]
    study, _ = fake_worker.work(fake_worker.study(tmp_path, total=3), fake_worker.search(retries=0))
    assert [study.path(slot).read_bytes() for slot in range(2)] == before
    assert [one.state for one in study.trials()] == ["complete", "failed", "complete"]
    monkeypatch.setenv("FAKE", "")  # more retries: the failed one too
    study, _ = fake_worker.work(fake_worker.study(tmp_path, total=3), fake_worker.search(retries=1))
    assert [one.state for one in study.trials()] == ["complete"] * 3


def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path):
    first = controller(tmp_path, 4, 2, "", gate=tmp_path / "shut")
    study = wait_for(tmp_path, lambda s: sum(len(one.reports) > 1 for one in s.trials()) == 2)
    first.send_signal(signal.SIGINT)
    assert first.wait(300) == 75
    states = [one.state for one in study.trials()]
    assert states.count("interrupted") == 2 and states.count("waiting") == 2
    assert controller(tmp_path, 4, 2, "").wait(300) == 0
    assert completions(study) == [0, 1, 2, 3]
    for one in study.trials():
        assert [report[0] for report in one.reports] == [1, 2, 3, 4, 5, 6]
        assert round(1000 * one.kwh) == 6  # nothing was made twice


def test_ctrl_c_twice_kills_at_once(tmp_path):
    first = controller(tmp_path, 2, 2, "pause=30")
    wait_for(tmp_path, lambda s: all(one.run for one in s.trials()))
    while first.poll() is None:  # a signal that comes before the last was handled is lost
        first.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert first.returncode == 130


def wait_for(runs: Path, what, seconds: float = 300) -> Study:
    end = time.monotonic() + seconds
    folder = fake_worker.study(runs).folder
    while time.monotonic() < end:
        if (folder / "study.json").exists() and what(study := Study.open(folder)):
            return study
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")


def test_a_dead_workers_trials_go_on_from_their_checkpoints(tmp_path):
    first = controller(tmp_path, 3, 2, "", gate=tmp_path / "shut")
    study = wait_for(tmp_path, lambda s: sum(len(one.reports) > 1 for one in s.trials()) == 2)
    first.kill()
    first.wait()
    assert {one.status for one in study.trials()} == {"interrupted", "waiting"}
    assert controller(tmp_path, 3, 2, "").wait(300) == 0
    trials = study.trials()
    assert [one.state for one in trials] == ["complete"] * 3
    assert completions(study) == [0, 1, 2] and [one.attempts for one in trials] == [2, 2, 1]
    assert all(6 <= round(1000 * one.kwh) <= 7 for one in trials)  # a step may be made again


def test_two_workers_share_a_study(tmp_path):
    both = [controller(tmp_path, 8, 1, "steps=2", gate=tmp_path / "gate") for _ in range(2)]
    wait_for(tmp_path, lambda s: len({one.worker for one in s.trials() if one.run}) == 2)
    (tmp_path / "gate").touch()
    assert [one.wait(300) for one in both] == [0, 0]
    study = Study.open(fake_worker.study(tmp_path).folder)
    assert completions(study) == list(range(8))
    assert len({one.worker for one in study.trials()}) == 2


@pytest.mark.slow
def test_killed_again_and_again_a_search_ends_as_one_that_was_not(tmp_path):
    rng, kills = random.Random(0), 0
    plain, _ = fake_worker.work(
        fake_worker.study(tmp_path / "calm", total=20), fake_worker.search(workers=2)
    )
    while True:
        process = controller(tmp_path / "wild", 20, 2, "pause=0.05")
        try:
            assert process.wait(rng.uniform(1.0, 5.0)) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    study = Study.open(fake_worker.study(tmp_path / "wild").folder)
    assert kills >= 5 and completions(study) == list(range(20))
    for calm, wild in zip(plain.trials(), study.trials(), strict=True):
        assert (calm.params, calm.overrides) == (wild.params, wild.overrides)
        assert calm.values == wild.values
        assert wild.kwh >= calm.kwh - 1e-12  # the dead are paid for


def test_a_budget_stops_the_search_and_a_larger_one_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE", "pause=0.1")
    asked = fake_worker.search(budget_kwh=0.008)
    study, stopped = fake_worker.work(fake_worker.study(tmp_path, total=4, budget_kwh=0.008), asked)
    used = sum(one.kwh for one in study.trials())
    assert "budget of 0.008 kWh" in stopped and 0.008 <= used < 0.02
    again, stopped = fake_worker.work(fake_worker.study(tmp_path, total=4, budget_kwh=0.008), asked)
    assert stopped and sum(one.kwh for one in again.trials()) == used  # at once
    study, stopped = fake_worker.work(
        fake_worker.study(tmp_path, total=4, budget_kwh=1.0), fake_worker.search()
    )
    assert not stopped and completions(study) == [0, 1, 2, 3]


def test_a_trial_that_hangs_is_interrupted(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE", "0:hang")
    monkeypatch.setattr("fxformer.search.worker.REFRESH", 0.2)
    wanted = fake_worker.study(tmp_path, total=1)

    def monotonic():  # an hour passes as soon as it hangs, in its third step
        return time.monotonic() + 3600 * (len(wanted.trial(0).reports) >= 2)

    clock = SimpleNamespace(monotonic=monotonic, sleep=time.sleep)
    monkeypatch.setattr("fxformer.search.worker.time", clock)
    study, _ = fake_worker.work(wanted, fake_worker.search(minutes=30, retries=1))
    (trial,) = study.trials()
    assert trial.state == "complete" and trial.failures == 1 and trial.attempts == 2


def test_halving_stops_those_that_are_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE", "steps=9")
    part = {
        "_target_": "fxformer.search.prune.SuccessiveHalving",
        "min_resource": 3.0,
        "reduction_factor": 3,
    }
    study, _ = fake_worker.work(
        fake_worker.study(tmp_path, total=9, pruner=part),
        fake_worker.search(),  # one after the other: which are behind depends on the order
    )
    trials = study.trials()
    pruned = [one for one in trials if one.state == "pruned"]
    assert len(pruned) >= 3 and not [one for one in trials if one.state == "failed"]
    assert all(one.reports[-1][0] == 3 and "best 1/3" in one.reason for one in pruned)
    best = min(Random().draw(study, n, ())["y"] for n in range(9))
    assert study.best(trials).params["y"] == best
    assert sum(one.kwh for one in trials) < 0.009 * 9


def test_several_objectives_are_recorded_together(tmp_path):
    asked = fake_worker.search(objectives=["loss", "kwh"])
    study, _ = fake_worker.work(
        fake_worker.study(tmp_path, total=2, objectives=("loss", "kwh")), asked
    )
    for one in study.trials():
        assert one.values == (min(report[1] for report in one.reports), one.kwh)


def test_room_is_shared_out(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert split_resources(1) == [Resources()]
    two = split_resources(2)
    assert [one.cores for one in two] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert [one.environment()["CUDA_VISIBLE_DEVICES"] for one in two] == ["4,5", "6,7"]
    eight = [one.environment() for one in split_resources(8)]
    assert sorted(one["CUDA_VISIBLE_DEVICES"] for one in eight) == sorted("4567" * 2)
    assert {one["XLA_PYTHON_CLIENT_MEM_FRACTION"] for one in eight} == {"0.460"}
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert [one.devices for one in split_resources(2)] == [None, None]
    assert split_resources(3, [0])[0].environment()["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.307"


def test_a_process_has_its_cores(tmp_path):
    from fxformer.search.process import Process

    core = min(os.sched_getaffinity(0))
    code = (
        "import json, os, time\n"
        "while len(os.sched_getaffinity(0)) > 1: time.sleep(0.01)\n"  # set once it is begun
        "print(json.dumps([*os.sched_getaffinity(0)]))"
    )
    log = tmp_path / "log"
    process = Process([sys.executable, "-c", code], log, Resources((core,)), {}, "head")
    while process.poll() is None:
        time.sleep(0.05)
    assert log.read_text().splitlines()[0] == "head"
    assert json.loads(log.read_text().splitlines()[1]) == [core]


def overwritten(tmp_path, attempts: int):
    """A study whose one trial was taken up a second time, by us; then a process of its first
    attempt, on its way out, wrote the file as it had read it before."""
    made = study_io.open_or_create(fake_worker.study(tmp_path, total=1))
    leases = FileLeases(made, 60.0)
    assert leases.acquire(0, 1) and leases.acquire(0, 2)
    stale = dataclasses.replace(made.trial(0), attempts=attempts, state="interrupted", code=75)
    study_io.write(made, stale)
    return made, leases


def test_our_own_claim_that_came_to_nothing_does_not_bar_the_trial_for_ever(tmp_path):
    """It did: its holder, this process, was alive, and waited for itself."""
    made, leases = overwritten(tmp_path, attempts=1)
    taken = next_trial(made, fake_worker.search(), leases, made.trials(), ())
    assert taken is not None and (taken.slot, taken.attempts) == (0, 3)
    assert (
        next_trial(made, fake_worker.search(), leases, made.trials(), (0,)) is None
    )  # we are at it


def test_a_trial_that_ends_has_the_number_of_its_claim(tmp_path):
    made, leases = overwritten(tmp_path, attempts=1)
    worker = Worker(made, fake_worker.search(), leases, pytest.fail, [], Console(quiet=True))
    held = RunningTrial(0, 2, FinishedTrial(75), Resources(), 0.0)
    worker.running[0] = held
    worker.record_outcome(held, 75)
    assert (made.trial(0).attempts, made.trial(0).state) == (2, "interrupted")


def test_an_inline_trial_that_is_resumed_keeps_the_config_of_its_run(tmp_path, monkeypatch):
    """A resumed run refuses experiment=, and the other overrides of all trials."""
    folder = tmp_path / "run"
    monkeypatch.setattr(launchers, "_resumable", lambda study, one: None if one.slot else folder)
    seen = {}

    def inline(words, slot):
        seen[slot] = list(words)
        return 0

    asked = fake_worker.search(launcher=launchers.InlineLauncher())
    shared = TrialCommands(overrides=("experiment=e", "energy=tdp"), resumable=("energy=tdp",))
    one = fake_worker.job(fake_worker.study(tmp_path, total=2), asked)
    asked.launcher(dataclasses.replace(one, inline=inline, commands=shared))
    assert seen[0] == [f"resume='{folder}'", "energy=tdp"]
    assert seen[1][:2] == ["experiment=e", "energy=tdp"] and len(seen[1]) > 2
