"""kill -9 at random moments, of controllers and of trials: nothing is lost, nothing made twice."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fxformer.energy import ledger
from fxformer.search.study import Study, find, studies
from fxformer.track.run_reader import StoredRun
from tests.search import fake_trial

ROOT = Path(__file__).resolve().parents[2]
CONTROLLER = """
import sys
from pathlib import Path
from tests.search import fake_worker
runs, trials, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
asked = fake_worker.search(workers=workers, retries=10**6)
study = fake_worker.study(runs, "s", total=trials)
raise SystemExit(75 if fake_worker.work(study, asked)[1] else 0)
"""
STEPS = 6


NO_GATE = Path("/")


def controller(runs: Path, trials: int, gate: Path = NO_GATE) -> subprocess.Popen:
    """One that works on the study "s", two trials at a time, until it is done.

    gate: file that trials wait for before their last step
    """
    pause = 0.1 if trials < 10 else 0.3  # they are to be killed, so they take their time
    environ = os.environ | {"PYTHONPATH": str(ROOT), "FAKE": f"steps={STEPS} pause={pause}"}
    environ["FAKE_GATE"] = str(gate)
    words = [sys.executable, "-c", CONTROLLER, str(runs), str(trials), "2"]
    with (runs / "err.txt").open("a") as err:
        return subprocess.Popen(words, env=environ, cwd=ROOT, stdout=err, stderr=err)


def finish(runs: Path, trials: int) -> Study:
    """A search that nobody disturbs."""
    runs.mkdir(exist_ok=True)
    assert controller(runs, trials).wait(300) == 0, (runs / "err.txt").read_text()
    return find(runs, "s")


def processes(runs: Path) -> list[int]:
    """The pids of all trials at work."""
    there = [StoredRun(file.parent) for file in runs.glob("run-*/run.json")]
    return [run.facts["owner"]["pid"] for run in there if run.status == "running"]


def kill(pid: int) -> bool:
    """Whether there was such a process, of ours."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"fake_trial.py" not in command and b"fake_worker" not in command:
            return False
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def killed(
    runs: Path, trials: int, kills: int, seed: int, controllers: int = 1, gate: Path = NO_GATE
) -> list[int]:
    """Work on a study, killing; then let it end. How many controllers and trials were killed.

    gate: file that is made after the last kill, for which trials wait before their last step
    """
    runs.mkdir()
    rng, dead, limit = np.random.default_rng(seed), [0, 0], time.monotonic() + 600 + 12 * kills
    at_work = [controller(runs, trials, gate) for _ in range(controllers)]
    while sum(dead) < kills and time.monotonic() < limit and not done(runs):
        for n, process in enumerate(at_work):
            if process.poll() is not None:
                at_work[n] = controller(runs, trials, gate)
        victims = processes(runs)
        if not victims and rng.random() > 0.005:  # now and then before there is a trial
            time.sleep(0.05)
            continue
        time.sleep(rng.uniform(0, 0.8 / controllers))
        which = int(bool(victims) and rng.random() < 0.6)
        one = rng.choice(victims) if which else at_work[rng.integers(controllers)].pid
        dead[which] += kill(int(one))
    if gate != NO_GATE:
        gate.touch()
    for process in at_work:
        process.wait(600)
    finish(runs, trials)
    return dead


def done(runs: Path) -> bool:
    """Whether every trial is complete."""
    there = studies(runs)
    return bool(there) and all(trial.state == "complete" for trial in there[0].trials())


def check(runs: Path, whole: Study, trials: int) -> None:
    """All is as if nothing had happened, but for what it has cost."""
    study = find(runs, "s")
    for mine, theirs in zip(study.trials(), whole.trials(), strict=True):
        assert (mine.state, mine.params, mine.overrides, mine.values) == (
            theirs.state, theirs.params, theirs.overrides, theirs.values)  # fmt: skip
        assert [report[:2] for report in mine.reports] == [report[:2] for report in theirs.reports]
        # a death costs the step it was at, never more: what was saved is not made again
        steps = round(mine.joules / fake_trial.JOULES)
        assert STEPS <= steps <= STEPS + mine.attempts - 1
    ended = [int(line) for line in (study.folder / "completions").read_text().split()]
    assert len(ended) == len(set(ended)) <= trials
    used = sum(ledger.totals(file).joules for file in runs.glob("run-*/energy.jsonl"))
    assert sum(trial.joules for trial in study.trials()) == pytest.approx(used)


def test_kills_lose_nothing_and_double_nothing(tmp_path):
    whole = finish(tmp_path / "whole", 4)
    assert [trial.state for trial in whole.trials()] == ["complete"] * 4
    assert sum(killed(tmp_path / "runs", 4, kills=5, seed=1, gate=tmp_path / "gate")) == 5
    check(tmp_path / "runs", whole, 4)


@pytest.mark.slow
@pytest.mark.parametrize("controllers", [1, 3])
def test_sixty_kills(tmp_path, controllers):
    whole = finish(tmp_path / "whole", 30)
    heads, trials = killed(tmp_path / "runs", 30, 60, seed=controllers, controllers=controllers)
    assert heads + trials == 60 and min(heads, trials) >= 10
    check(tmp_path / "runs", whole, 30)


def test_a_trial_whose_file_is_gone_is_made_again_the_same(tmp_path):
    """Parameters follow from seed and slot: of a deleted and of a torn file, nothing is missed."""
    runs = tmp_path / "runs"
    before = finish(runs, 3).trials()
    study = find(runs, "s")
    study.path(0).unlink()
    study.path(1).write_bytes(study.path(1).read_bytes()[:100])
    assert [trial.state for trial in study.trials()] == ["waiting", "waiting", "complete"]
    assert controller(runs, 3).wait(300) == 0, (runs / "err.txt").read_text()
    for mine, theirs in zip(study.trials(), before, strict=True):
        assert (mine.params, mine.values) == (theirs.params, theirs.values)


@pytest.mark.slow
def test_real_training_killed_again_and_again_ends_bit_for_bit_the_same(tmp_path):
    """The command itself and its trials' processes, ten kills; every joule in a ledger is counted,
    and the ledgers of the dead have some."""
    from shell import DECODER, start

    words = (
        "train", "-m", *DECODER, "trainer.steps=150", "trainer.eval_every=10",
        "trainer.save_every=10", "energy.ledger_every_seconds=0.1", "search.name=s",
        "search.trials=3", "search.workers=2", "search.retries=99",
        "optimizer.lr=tag(log,interval(1e-3,1e-1))",
    )  # fmt: skip
    calm, wild, rng, dead = tmp_path / "calm", tmp_path / "wild", np.random.default_rng(0), [0, 0]
    calm.mkdir(), wild.mkdir()
    assert start(*words, folder=calm).wait(900) == 0
    process, end = start(*words, folder=wild), time.monotonic() + 900
    while sum(dead) < 10 and time.monotonic() < end:
        runs = [StoredRun(file.parent) for file in wild.glob("runs/2*/run.json")]
        pids = [run.facts["owner"]["pid"] for run in runs if run.status == "running"]
        if process.poll() is not None:
            process = start(*words, folder=wild)
        if not pids and rng.random() > 0.001:  # now and then before there is a trial
            time.sleep(0.2)
            continue
        time.sleep(rng.uniform(0, 4))
        which = bool(pids) and rng.random() < 0.6
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(rng.choice(pids)) if which else process.pid, signal.SIGKILL)
            dead[which] += 1
    process.wait(900)
    assert start(*words, folder=wild).wait(900) == 0, (wild / "err.txt").read_text()
    one, other = find(calm / "runs", "s"), find(wild / "runs", "s")
    for theirs, mine in zip(one.trials(), other.trials(), strict=True):
        assert (mine.state, mine.params, mine.values) == ("complete", theirs.params, theirs.values)
        assert [report[:2] for report in mine.reports] == [report[:2] for report in theirs.reports]
    used = sum(ledger.totals(file).joules for file in wild.glob("runs/2*/energy.jsonl"))
    used += sum(line["joules"] for line in ledger.early_attempts(wild / "runs").values())
    told = sum(trial.joules for trial in other.trials())
    assert min(dead) >= 2 and told == pytest.approx(used)
    assert told > sum(trial.joules for trial in one.trials())
