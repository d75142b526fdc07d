"""Scaling laws: planted exponents, optimal sizes and forecasts come out, with their coverage."""

import itertools
import json

import numpy as np
import pytest

from fxformer.claims.analysis import Measurements
from fxformer.claims.measures import CostToReach, RunFlops, RunJoules
from fxformer.claims.scaling import OptimalSize, PowerLaw, PowerLawForecast, pareto_frontier
from fxformer.errors import UserError
from fxformer.track.run_reader import StoredRun

SIZES = {f"n{n}": 4000.0 * 2**n for n in range(6)}
STEPS = (100.0, 200.0, 400.0, 800.0, 1600.0)
ARMS, LEVEL = list(SIZES), 800.0


def planted(loss, seeds=3, noise=0.0, seed=0):
    """Measurements of arms and levels: loss(N, D), parameters N, tokens D, FLOPs 6 N D."""
    rng, cells = np.random.default_rng(seed), {}
    for arm, level, run in itertools.product(SIZES, STEPS, range(seeds)):
        size, tokens = SIZES[arm], 1000 * level
        value = loss(size, tokens) * float(np.exp(rng.normal(0, noise)))
        numbers = {"loss": value, "parameters": size, "tokens": tokens, "flops": 6 * size * tokens}
        for name, number in numbers.items():
            cells.setdefault(name, {})[arm, level, run] = number
    return Measurements(cells)


def law(size, tokens):
    return 20 * size**-0.08 * tokens**-0.1


def test_exponents_of_parameters_and_tokens_are_those_that_were_planted():
    found = planted(law)
    sizes = PowerLaw(measure="loss", cost="parameters", over=ARMS, at=LEVEL, below=0.0)
    assert sizes.finding(found).effect.mean == pytest.approx(-0.08)
    assert sizes.finding(found).decision == "holds"
    tokens = PowerLaw(measure="loss", cost="tokens", over=["n2"], every_level=True, below=0.0)
    assert tokens.finding(found).effect.mean == pytest.approx(-0.1)
    assert sizes.finding(Measurements({})).decision == "undecided"


def test_a_frontier_holds_only_runs_that_no_cheaper_one_equals():
    points = [(1.0, 5.0), (2.0, 4.0), (2.0, 3.0), (3.0, 3.0), (4.0, 6.0), (5.0, 1.0)]
    assert pareto_frontier(points) == [(1.0, 5.0), (2.0, 3.0), (5.0, 1.0)]
    found = planted(lambda size, tokens: 3.0 + (size - 16000) ** 2 * 1e-9 + tokens**-0.5)
    every = {"measure": "loss", "cost": "flops", "over": ARMS, "every_level": True, "below": 0.0}
    envelope = PowerLaw(**every, frontier=True).finding(found)
    assert envelope.effect.mean < PowerLaw(**every).finding(found).effect.mean


def test_the_interval_holds_the_planted_exponent_as_often_as_it_says():
    part = PowerLaw(measure="loss", cost="parameters", over=ARMS, at=LEVEL, below=0.0)
    effects = [part.finding(planted(law, noise=0.02, seed=n)).effect for n in range(300)]
    held = np.mean([one.low <= -0.08 <= one.high for one in effects])
    assert 0.91 <= held <= 0.985  # 0.95, three standard errors


def test_a_forecast_is_right_on_a_power_law_and_wrong_where_the_law_breaks():
    part = PowerLawForecast(
        measure="loss", cost="parameters", over=ARMS[:5], held_out="n5", at=LEVEL,
        above=0.98, below=1.02,
    )  # fmt: skip
    assert part.finding(planted(law)).effect.mean == pytest.approx(1.0)
    broken = part.finding(planted(lambda size, tokens: max(law(size, tokens), 2.1)))
    assert broken.decision == "fails"
    with pytest.raises(UserError, match="held_out=n1 is one of over"):
        PowerLawForecast(measure="loss", cost="flops", over=ARMS, held_out="n1", below=1.0)


def test_the_optimal_size_grows_with_the_budget_as_planted():
    """Of A / N^a + B / D^b with C = 6 N D the optimum is N ∝ C^(b / (a + b)), Hoffmann et al.
    2022, equation 4; the constants put the optima inside the grid."""
    a, b = 0.4, 0.3
    found = planted(lambda size, tokens: 100 * size**-a + 118 * tokens**-b)
    part = OptimalSize(
        measure="loss", size="parameters", cost="flops", over=ARMS,
        above=0.0, below=1.0,
    )  # fmt: skip
    assert part.finding(found).effect.mean == pytest.approx(b / (a + b), abs=0.08)
    flat = planted(lambda size, tokens: 3.0 + size**0.1)  # the smallest is best: no lowest point
    assert part.finding(flat).decision == "undecided"


def run_of(folder, lines, **facts):
    folder.mkdir()
    base = {"id": folder.name, "status": "done", "parameters": 10, "flops_per_token": 60.0}
    (folder / "run.json").write_text(json.dumps(base | {"summary": {"tokens": 500}} | facts))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return StoredRun(folder)


def test_the_cost_of_reaching_a_target_is_that_of_the_first_evaluation(tmp_path):
    lines = [
        {"step": n, "split": split, "loss": loss, "tokens": 100 * n, "joules": 7.0 * n}
        for n, loss in ((1, 3.0), (2, 2.0), (3, 2.5), (4, 1.0))
        for split in ("train", "valid")
    ]
    run = run_of(tmp_path / "run", lines)
    assert CostToReach("loss", at_most=2.2).of_run(run) == 14.0
    assert CostToReach("loss", at_least=2.6, cost="tokens").of_run(run) == 100
    assert np.isnan(CostToReach("loss", at_most=0.5).of_run(run))
    with pytest.raises(UserError, match="no los in its valid evaluation; there are joules, loss"):
        CostToReach("los", at_most=1.0).of_run(run)
    with pytest.raises(UserError, match="one of them"):
        CostToReach("loss")
    assert RunFlops().of_run(run) == 60 * 500


def test_joules_of_phases_are_named():
    with pytest.raises(UserError, match="no phase 'training'; there are startup, compile"):
        RunJoules(["training"])
