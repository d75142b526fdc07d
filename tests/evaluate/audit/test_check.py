"""Judging: right samples pass, wrong ones fail, and nothing seen is not a pass."""

import numpy as np
import pytest

from fxformer.evaluate.audit.check import Check, judge

MANY = 100_000


def found(kind, nominal, values, alpha=1e-6):
    return judge(
        Check("x", nominal, lambda before, after: after, kind), [(None, values)], alpha=alpha
    )


def test_a_mean_within_and_beyond_chance():
    samples = np.random.default_rng(0).random(MANY)
    right, wrong = found("mean", 0.5, samples), found("mean", 0.51, samples)
    assert right.holds and right.low < 0.5 < right.high
    assert not wrong.holds and "BROKEN" in str(wrong)


def test_a_ratio_weighs_by_the_whole():
    generator = np.random.default_rng(0)
    whole = generator.integers(1, 400, 2000)
    pairs = np.stack([generator.binomial(whole, 0.3), whole], axis=1)
    right = found("ratio", 0.3, pairs)
    assert right.holds and right.observed == pytest.approx(
        pairs[:, 0].sum() / whole.sum(), abs=1e-3
    )
    assert not found("ratio", 0.31, pairs).holds


def test_shares_within_and_beyond_chance():
    counts = np.random.default_rng(0).multinomial(MANY, [0.8, 0.1, 0.1])
    assert found("shares", (0.8, 0.1, 0.1), counts).holds
    assert not found("shares", (0.79, 0.11, 0.1), counts).holds
    assert not found("shares", (0.9, 0.1, 0.0), counts).holds


def test_exact_knows_no_chance():
    assert found("exact", 0.0, np.zeros(9)).holds
    assert not found("exact", 0.0, np.eye(100)[0]).holds


@pytest.mark.parametrize("kind", ["mean", "exact", "shares"])
def test_nothing_seen_does_not_hold(kind):
    assert not found(kind, 0.0 if kind != "shares" else (0.5, 0.5), np.zeros(0)).holds


def test_false_alarms_are_as_rare_as_said():
    generator = np.random.default_rng(0)
    alarms = [not found("mean", 0.5, generator.random(1000), alpha=0.1).holds for _ in range(500)]
    assert 20 < sum(alarms) < 85  # 50 expected, 5 standard deviations


def test_a_law_seen_through_a_view():
    check = Check("x", 0.0, lambda a, b: b - a, "exact").through(lambda a, b: (a * 2, b), "part")
    assert check.name == "part: x"
    assert judge(check, [(np.ones(3), np.full(3, 2.0))]).holds


@pytest.mark.parametrize("events, holds", [(0, True), (1, True), (3, True), (12, False)])
def test_rare_events_are_judged_by_their_number(events, holds):
    """1000 trials at one in a thousand: none, one or three are no surprise, twelve are."""
    check = Check("rare", 1e-3, lambda before, after: np.array([[events, 600], [0, 400]]), "rare")
    found = judge(check, [(None, None)])
    assert found.holds == holds and found.low <= found.observed <= found.high
    assert found.draws == 1000


def test_events_that_never_come_are_missed():
    check = Check("rare", 0.05, lambda before, after: np.array([[0, 1000]]), "rare")
    assert not judge(check, [(None, None)]).holds
