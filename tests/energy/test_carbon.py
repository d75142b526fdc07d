"""kWh and grams."""

import json
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


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("FRB", "FRA"),
        ("france", "FRA"),
        ("usa-ca", "USA-CA"),
        ("Germny", "DEU"),
        ("XQZW", "FRA"),
        ("GB", r"nearest: GBR \(United Kingdom\);"),
        ("UK", r"nearest: GBR \(United Kingdom\);"),
        ("US-CA", r"nearest: USA-CA \(California\);"),
        ("de", r"nearest: DEU \(Germany\);"),
        ("CN_BJ", r"nearest: CHN-BJ \(Beijing\);"),
        ("US-CAL-CISO", "USA-CA.*USA "),
        ("EU", "no value for the EU.*DEU.*grid_gco2e_per_kwh"),
    ],
)
def test_an_unknown_region_is_an_error_with_the_nearest(wrong, nearest):
    with pytest.raises(ValueError, match=f"no region '{wrong}'.*{nearest}"):
        Carbon(region=wrong)


def test_every_country_has_its_two_letters_and_no_two_the_same():
    codes = carbon._alpha2()
    countries = [code for code in regions() if "-" not in code]
    assert sorted({*codes.values()}) == sorted(countries)
    assert {"US": "USA", "DE": "DEU", "CN": "CHN", "ZA": "ZAF"}.items() <= codes.items()


def test_no_region_is_the_world_average_and_warns_once(caplog):
    carbon._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert Carbon().grid.name == "world average" and not caplog.records
        Carbon(region="FRA").warn_of_default()
        for _ in range(2):
            Carbon().warn_of_default()
    assert len(caplog.records) == 1 and "world average" in caplog.text


def test_an_impossible_overhead_is_refused():
    with pytest.raises(ValueError, match=r"energy\.pue is 0\.5"):
        Carbon(pue=0.5)


def test_every_region_has_a_plausible_figure_year_and_source():
    for code, grid in regions().items():
        assert 0 < grid.gco2e_per_kwh < 1500, code
        assert 2005 < grid.year < 2030 and grid.source and grid.name


def test_every_figure_is_the_one_of_the_table_it_names(real_data):
    """codecarbon's copies of Our World in Data, eGRID (lb/MWh), the ministry's, ENTSO-E's."""

    def table(name):
        return json.loads((real_data / "codecarbon" / f"{name}.json").read_text(encoding="utf-8"))

    theirs = {code: (row["carbon_intensity"], row["year"], row["country_name"])
              for code, row in table("global_energy_mix").items()
              if row.get("carbon_intensity") is not None}  # fmt: skip
    for name, row in table("usa_emissions").items():
        if not name.startswith("_"):
            theirs["USA-" + row["regionCode"]] = (row["emissions"] * 0.45359237, 2023, name)
    for code, row in table("china_provincial_emissions")["data"].items():
        known = (row["emission_factor"], row["year"], row["description"])
        theirs[code.replace("CN-", "CHN-")] = known
    for code, row in table("nordic_emissions")["data"].items():
        country = {"SE": "SWE", "NO": "NOR"}.get(code[:2], "FIN")
        theirs[f"{country}-{code}"] = (row["emission_factor"], row["year"], row["description"])
    for code, grid in regions().items():
        intensity, year, _ = theirs[code]
        assert grid.gco2e_per_kwh == pytest.approx(intensity, abs=0.06), code
        assert grid.year == year, code
    world = table("carbon_intensity_per_source")["world_average"]
    assert world == carbon.WORLD_AVERAGE
    assert len(regions()) > 300
