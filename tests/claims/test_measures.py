"""Measures without training: counts of parameters, equivariance, searches on known surfaces."""

import pytest
from omegaconf import OmegaConf

from fxformer.claims.model_structure import ParameterCount
from fxformer.claims.search_surface import RandomBeatsGrid, RandomReachesTop
from fxformer.errors import UserError
from tests.models import SMALL, composed

SEED = OmegaConf.create({"seed": 0})


def test_parameters_are_counted_with_and_without_a_part():
    cfg = composed("decoder", *SMALL, "model/head=untied")
    whole = ParameterCount(vocab=40).of_config(cfg)
    assert whole - ParameterCount(vocab=40, without=("head",)).of_config(cfg) == 40 * 24
    with pytest.raises(UserError, match="no part haed to leave out; there are head, "):
        ParameterCount(vocab=40, without=("haed",)).of_config(cfg)


def test_random_search_wins_where_one_dimension_matters_as_often_as_it_must():
    """The share of the best of n uniform draws below a distance that is uniform up to 1/6."""
    few = RandomBeatsGrid(dimensions=2, points=3, replays=400)  # 9 trials
    expected = 1 - 6 * (1 - (1 - 1 / 3) ** 10) / 20
    assert few.of_config(SEED) == pytest.approx(expected, abs=0.07)
    with pytest.raises(UserError, match="relevant=3: at most dimensions=2"):
        RandomBeatsGrid(dimensions=2, relevant=3)


def test_random_trials_reach_the_best_share_as_often_as_they_must():
    found = RandomReachesTop(trials=20, replays=400).of_config(SEED)
    assert found == pytest.approx(1 - 0.95**20, abs=0.07)
