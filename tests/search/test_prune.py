"""Who stops early: the known answers, and Optuna's pruners on the same traces."""

import math
from pathlib import Path

import numpy as np
import optuna
import pytest
from search import fake_worker

from fxformer.search.prune import MedianPruner, NoPruning, SuccessiveHalving
from fxformer.search.study import Trial

STUDY = fake_worker.study(Path("/nowhere"))


def trial(slot: int, *values: float, every: int = 10, state="running", kwh: float = 1e-3) -> Trial:
    reports = tuple((every * n, value, kwh * n) for n, value in enumerate(values, 1))
    return Trial(slot, state=state, reports=reports)


def test_alone_a_trial_goes_on_and_behind_it_stops():
    halving = SuccessiveHalving(min_resource=10, reduction_factor=3)
    assert halving.stop_reason(STUDY, trial(0, 5.0), []) is None
    assert "best 1/3 of 2 at 10 steps" in halving.stop_reason(STUDY, trial(1, 6.0), [trial(0, 5.0)])
    assert halving.stop_reason(STUDY, trial(1, 4.0), [trial(0, 5.0)]) is None
    # between rungs nobody is judged: 10, 30, 90 …
    assert halving.stop_reason(STUDY, trial(1, 6.0, 6.0), [trial(0, 5.0)]) is None
    assert "at 30 steps" in halving.stop_reason(STUDY, trial(1, 4, 4, 4), [trial(0, 5, 3, 3)])


def test_one_in_so_many_goes_on():
    halving, there, gone_on = SuccessiveHalving(min_resource=10, reduction_factor=4), [], 0
    for slot, value in enumerate(np.random.default_rng(0).permutation(400)):
        mine = trial(slot, float(value))
        gone_on += halving.stop_reason(STUDY, mine, there) is None
        there.append(mine)
    assert 85 <= gone_on <= 125  # a quarter, but those that came early were judged against few


def test_halving_on_joules_judges_by_what_was_used():
    halving = SuccessiveHalving(
        resource="joules", min_resource=7200, reduction_factor=2
    )  # 2e-3 kWh: the second report
    frugal, greedy = trial(0, 5.0, 1.0), trial(1, 3.0, kwh=2e-3)
    assert halving.rungs(STUDY, frugal) == [1.0] and halving.rungs(STUDY, greedy) == [3.0]
    assert "7200 joules" in halving.stop_reason(STUDY, greedy, [frugal])
    assert halving.stop_reason(STUDY, trial(2, 9.0), [frugal]) is None  # has not used as much yet


def test_what_is_not_finite_stops_even_alone():
    assert "not finite" in SuccessiveHalving(min_resource=10).stop_reason(
        STUDY, trial(0, math.nan), []
    )
    assert NoPruning().stop_reason(STUDY, trial(0, math.nan), []) is None


def optunas(pruner, traces, direction):
    """Which trials Optuna stops, and at which report, when they take turns."""
    study = optuna.create_study(pruner=pruner, direction=direction)
    trials = [study.ask() for _ in traces]
    stopped = {}
    for n in range(len(traces[0])):
        for slot, asked in enumerate(trials):
            if slot in stopped:
                continue
            asked.report(traces[slot][n], 10 * (n + 1))
            if asked.should_prune():
                stopped[slot] = n
                study.tell(asked, state=optuna.trial.TrialState.PRUNED)
            elif n == len(traces[0]) - 1:
                study.tell(asked, traces[slot][n])
    return stopped


def ours(pruner, traces, study):
    seen = [Trial(slot, state="running") for slot in range(len(traces))]
    stopped = {}
    for n in range(len(traces[0])):
        for slot in range(len(traces)):
            if slot in stopped:
                continue
            seen[slot] = trial(slot, *traces[slot][: n + 1])
            if pruner.stop_reason(study, seen[slot], seen):
                stopped[slot] = n
                seen[slot] = trial(slot, *traces[slot][: n + 1], state="pruned")
            elif n == len(traces[0]) - 1:
                seen[slot] = trial(slot, *traces[slot], state="complete")
    return stopped


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_halving_decides_as_optuna_does(factor, direction):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    maximize = ("loss",) if direction == "maximize" else ()
    study = fake_worker.study(Path("/nowhere"), maximize=maximize)
    for seed in range(5):
        traces = np.random.default_rng(seed).normal(size=(17, 12)).tolist()
        theirs = optunas(
            optuna.pruners.SuccessiveHalvingPruner(min_resource=10, reduction_factor=factor),
            traces, direction,
        )  # fmt: skip
        assert len(theirs) > 5
        assert (
            ours(SuccessiveHalving(min_resource=10, reduction_factor=factor), traces, study)
            == theirs
        )


def test_the_median_decides_as_optuna_does():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = np.random.default_rng(0)
    pruner, median = (
        optuna.pruners.MedianPruner(n_startup_trials=4),
        MedianPruner(n_startup_trials=4),
    )
    study = optuna.create_study(pruner=pruner)
    seen: list[Trial] = []
    stopped = 0
    for slot in range(40):
        asked, values = study.ask(), []
        for n in range(5):
            values.append(float(rng.normal()))
            asked.report(values[-1], 10 * (n + 1))
            mine = median.stop_reason(STUDY, trial(slot, *values), seen)
            assert bool(mine) == asked.should_prune(), (slot, n)
            if mine:
                study.tell(asked, state=optuna.trial.TrialState.PRUNED)
                stopped += 1
                break
        else:
            study.tell(asked, values[-1])
        seen.append(trial(slot, *values, state="pruned" if mine else "complete"))
    assert 5 < stopped < 40
