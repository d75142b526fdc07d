"""Random search against grid where the answer is known (Bergstra and Bengio 2012)."""

import pytest

from benchmarks.surface import Duel

SIGMAS = 5  # of a false alarm: 6e-7


@pytest.mark.parametrize("duel", [Duel(4, 1, 3), Duel(3, 2, 4), Duel(2, 2, 8)])
def test_both_find_what_theory_says(duel):
    found = duel.run(400)
    assert abs(found["grid_best"] - found["grid_exact"]) < SIGMAS * found["grid_error"]
    if duel.effective < duel.keys:  # else n depends on the losses
        assert abs(found["random_best"] - found["random_exact"]) < SIGMAS * found["random_error"]


def test_random_wins_where_few_keys_matter_and_not_where_all_do():
    """At equal energy. 4 keys of which 1 matters: 81 trials of the grid try 3 values of it."""
    few, all_ = Duel(4, 1, 3).run(300), Duel(2, 2, 8).run(300)
    assert few["gain"] > SIGMAS * few["gain_error"] and few["random_wins"] > 0.9
    assert few["grid_best"] > 8 * few["random_best"]
    assert all_["gain"] < -SIGMAS * all_["gain_error"]
