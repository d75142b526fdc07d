"""kWh and grams."""

import logging

import pytest

from fxformer.energy import carbon
from fxformer.energy.carbon import Carbon, regions


def test_kwh_and_grams_with_overhead():
    mine = Carbon(pue=1.5, grid_gco2e_per_kwh=100)
    assert mine.kwh(3.6e6) == pytest.approx(1.5)
    assert mine.gco2e(3.6e6) == pytest.approx(150)
    assert Carbon(region="FRA").grid.gco2e_per_kwh == pytest.approx(56, abs=1)
    assert Carbon(region="FRA").grid.year == 2023


@pytest.mark.parametrize(("wrong", "nearest"), [
    ("FRB", "FRA"), ("france", "FRA"), ("usa-ca", "USA-CA"), ("Germny", "DEU"), ("XQZW", "FRA"),
])
def test_an_unknown_region_is_an_error_with_the_nearest(wrong, nearest):
    with pytest.raises(ValueError, match=f"no region '{wrong}'.*{nearest}"):
        Carbon(region=wrong)


def test_no_region_is_the_world_average_with_one_warning(caplog):
    carbon._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert Carbon().grid.name == "world average"
        Carbon()
    assert len(caplog.records) == 1 and "world average" in caplog.text


def test_an_impossible_overhead_is_refused():
    with pytest.raises(ValueError, match=r"energy\.pue is 0\.5"):
        Carbon(pue=0.5)


def test_every_region_has_a_plausible_figure_year_and_source():
    for code, grid in regions().items():
        assert 0 < grid.gco2e_per_kwh < 1500, code
        assert 2005 < grid.year < 2030 and grid.source and grid.name
