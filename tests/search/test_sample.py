"""Which parameters a slot gets: purity, laws of the draws, and what TPE promises."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from search import fake_worker

from fxformer.search.sample import TPE, Auto, Grid, Random, Sobol
from fxformer.search.space import overrides
from fxformer.search.study import Trial

WORDS = ("x=tag(log,interval(1e-5,1e-1))", "y=choice(0,1,2)", "n=int(interval(1,8))")


def study(seed: int = 0, words=WORDS):
    return fake_worker.study(Path("/nowhere"), words=words, seed=seed, total=64)


@pytest.mark.parametrize("sampler", [Random(), Sobol()])
def test_parameters_are_a_pure_function_of_seed_and_slot(sampler):
    forward = [sampler.draw(study(), slot, ()) for slot in range(20)]
    others = [Trial(0, params=forward[3], state="complete", values=(1.0,))]
    backward = [sampler.draw(study(), slot, others) for slot in reversed(range(20))][::-1]
    assert forward == backward
    assert len({tuple(one.values()) for one in forward}) == 20
    assert forward != [sampler.draw(study(seed=1), slot, ()) for slot in range(20)]
    longer = dataclasses.replace(study(), total=1000)
    assert forward == [sampler.draw(longer, slot, ()) for slot in range(20)]


def test_random_draws_follow_their_law():
    one = study()
    drawn = [Random().draw(one, slot, ()) for slot in range(3000)]
    places = (np.log10([one["x"] for one in drawn]) + 5) / 4
    assert stats.kstest(places, "uniform").pvalue > 1e-3
    for key, count in (("y", 3), ("n", 8)):
        seen = np.unique([one[key] for one in drawn], return_counts=True)[1]
        assert len(seen) == count and stats.chisquare(seen).pvalue > 1e-3
    together = np.histogram2d(places, [one["n"] for one in drawn], bins=(4, 8))[0]
    assert stats.chi2_contingency(together).pvalue > 1e-3


def test_sobol_points_fill_every_cell_once():
    words = ("a=interval(0,1)", "b=interval(0,1)")
    drawn = [Sobol().draw(study(words=words), slot, ()) for slot in range(64)]
    cells = {(int(8 * one["a"]), int(8 * one["b"])) for one in drawn}
    assert len(cells) == 64  # a (0, m, 2)-net; random draws fill about 64 (1 - 1/e) = 40 of them
    luck = [Random().draw(study(words=words), slot, ()) for slot in range(64)]
    assert len({(int(8 * one["a"]), int(8 * one["b"])) for one in luck}) < 55


def test_a_grid_is_every_combination_once_in_order():
    words = ("a=1,2,3", "b=x,y")
    drawn = [tuple(Grid().draw(study(words=words), slot, ()).values()) for slot in range(6)]
    assert drawn == list(itertools.product((1, 2, 3), "xy"))


def test_auto_is_a_grid_unless_there_is_an_interval():
    assert isinstance(Auto().resolve(study(words=("a=1,2",)).space), Grid)
    assert isinstance(Auto().resolve(study().space), Random)


def told(sampler, slots: int, seed: int = 0) -> list[Trial]:
    """Trials one after the other on a bowl with its bottom at x = 1e-3, y = 0, n = 1."""
    trials: list[Trial] = []
    for slot in range(slots):
        params = sampler.draw(study(seed), slot, trials)
        value = (np.log10(params["x"]) + 3) ** 2 + params["y"] + 0.1 * params["n"]
        words = overrides(study().space, params)
        trials.append(Trial(slot, params, words, "complete", values=(value,)))
    return trials


def test_tpe_is_a_function_of_seed_slot_and_results_and_beats_random():
    first, second = told(TPE(), 24), told(TPE(), 24)
    assert first == second != told(TPE(), 24, seed=1)
    worse = [dataclasses.replace(one, values=(9.0 - one.values[0],)) for one in first]
    assert TPE().draw(study(), 24, first) != TPE().draw(study(), 24, worse)
    means = [
        np.mean([one.values[0] for one in told(sampler, 30)[10:]]) for sampler in (TPE(), Random())
    ]
    assert means[0] < 0.7 * means[1]


def test_tpe_learns_of_what_diverged_and_of_what_is_large():
    trials = told(Random(), 30)
    diverged = {"state": "failed", "code": 3, "values": ()}
    half = [
        dataclasses.replace(one, **diverged if one.params["x"] > 1e-3 else {}) for one in trials
    ]
    drawn = [TPE().draw(study(), 30 + n, half)["x"] for n in range(10)]
    assert np.mean(np.array(drawn) <= 1e-3) > 0.7
    upward = dataclasses.replace(study(), maximize=("loss",))
    drawn = [TPE().draw(upward, 30 + n, trials)["y"] for n in range(10)]
    assert np.mean(drawn) > 1.2
