"""Carbon intensity by the hour: files as users have them, and grams by the clock."""

import datetime

import pytest

from fxformer.energy.carbon import Carbon
from fxformer.energy.hourly import HourlyIntensity, split_by_hour
from fxformer.energy.hourly_csv import unit_factor
from fxformer.energy.meter import Meter
from tests.energy.fakes import Clock, Steady

JANUARY = int(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC).timestamp()) // 3600


def write(folder, header, rows):
    path = folder / "grid.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


def day(folder, figures=range(100, 124), header="hour,gCO2e/kWh"):
    return write(folder, header, [f"{hour},{value}" for hour, value in enumerate(figures)])


def moments(folder, figures, *, header="timestamp,gCO2e/kWh", start=JANUARY, step=60, zone="Z"):
    first = datetime.datetime.fromtimestamp(start * 3600, datetime.UTC).replace(tzinfo=None)
    times = [first + datetime.timedelta(minutes=step * n) for n in range(len(figures))]
    rows = [f"{t.isoformat()}{zone},{v}" for t, v in zip(times, figures, strict=True)]
    return write(folder, header, rows)


@pytest.mark.parametrize(
    ("name", "grams"),
    [
        ("gCO2e/kWh", 1),
        ("g/kWh", 1),
        ("kgCO2/MWh", 1),
        ("kg CO2 per MWh", 1),
        ("tCO2/MWh", 1000),
        ("lbs_co2_per_mwh", 0.45359237),
        ("MOER (lb CO2/MWh)", 0.45359237),
        ("Carbon Intensity gCO₂eq/kWh (direct)", 1),
        ("Renewable Percentage", 0),
        ("mg/kWh", 0),
        ("EUR/MWh", 0),
        ("MWh", 0),
    ],
)
def test_units_are_read_off_the_name(name, grams):
    assert unit_factor(name, strict=False) == pytest.approx(grams)


def test_a_typical_day_repeats_in_its_own_time_zone(tmp_path):
    grid = HourlyIntensity(day(tmp_path), timezone="Asia/Kolkata")  # 5:30 ahead
    assert grid.at(JANUARY) == grid.at(JANUARY + 24 * 77) == 105 and grid.mean == 111.5
    assert HourlyIntensity(day(tmp_path), timezone="UTC").at(JANUARY + 7) == 107


@pytest.mark.parametrize(("separator", "point"), [(",", "."), (";", ","), (";", "."), ("\t", ",")])
@pytest.mark.parametrize("first", [0, 1])
def test_other_separators_decimal_commas_and_hours_named_by_their_ends(
    separator, point, first, tmp_path
):
    rows = [f"{first + n}{separator}{100 + n}{point}5" for n in range(24)]
    file = write(tmp_path, f"hour{separator}gCO2e/kWh", rows)
    grid = HourlyIntensity(file, timezone="UTC")
    assert [grid.at(JANUARY + n) for n in range(24)] == [100.5 + n for n in range(24)]


def test_an_export_of_electricity_maps_is_read_as_it_comes(tmp_path):
    header = (
        "Datetime (UTC),Country,Zone Name,Carbon Intensity gCO₂eq/kWh (direct),"
        "Carbon Intensity gCO₂eq/kWh (life cycle assessment),Low Carbon Percentage"
    )
    rows = [f"2024-01-01 {h:02}:00:00,France,France,{10 + h},{30 + h},90.5" for h in range(24)]
    grid = HourlyIntensity(write(tmp_path, header, rows))
    assert grid.at(JANUARY + 3) == 33 and "life cycle" in grid.column
    direct = "Carbon Intensity gCO₂eq/kWh (direct)"
    assert HourlyIntensity(write(tmp_path, header, rows), column=direct).at(JANUARY + 3) == 13


def test_five_minutes_of_watttime_are_averaged_and_converted(tmp_path):
    figures = [1000.0 + n % 12 for n in range(12 * 24)]
    file = moments(tmp_path, figures, header="point_time,MOER lbs/MWh", step=5, zone="+00:00")
    assert HourlyIntensity(file).at(JANUARY + 5) == pytest.approx(1005.5 * 0.45359237)


def test_hours_beyond_the_file_get_those_of_its_typical_day(tmp_path):
    grid = HourlyIntensity(
        moments(tmp_path, [100 + n for n in range(24)] + [200 + n for n in range(24)])
    )
    assert grid.has(JANUARY + 30) and grid.at(JANUARY + 30) == 206
    later = JANUARY + 24 * 400 + 6
    assert not grid.has(later) and grid.at(later) == 156
    carbon = Carbon(grid_hourly=grid.file)
    assert carbon.share_outside_file({JANUARY: 30.0, later: 10.0}) == 0.25


def test_local_times_through_the_end_of_summer_time(tmp_path):
    """27 October 2024 in Berlin has 25 hours, and 2 o'clock comes twice."""
    hours = [0, 1, 2, 2, *range(3, 24)]
    rows = [f"2024-10-27T{h:02}:00,{100 + n}" for n, h in enumerate(hours)]
    grid = HourlyIntensity(write(tmp_path, "time,g/kWh", rows), timezone="Europe/Berlin")
    start = int(datetime.datetime(2024, 10, 26, 22, tzinfo=datetime.UTC).timestamp()) // 3600
    assert [grid.at(start + n) for n in range(25)] == list(range(100, 125))


@pytest.mark.parametrize(("header", "rows", "knobs", "words"), [
    ("hour,gCO2e/kWh", [f"{h},9" for h in range(23)], {"timezone": "UTC"}, "hours 23 of the day"),
    ("hour,gCO2e/kWh", ["25,9"], {"timezone": "UTC"}, "hours of the day are 0 to 23"),
    ("hour,gCO2e/kWh", [f"{h},9" for h in range(25)], {"timezone": "UTC"}, "hour 0 and an hour 24"),
    ("hour,gCO2e/kWh", ["0,9"], {}, "energy.grid_timezone=UTC"),
    ("hour,gCO2e/kWh", ["0,9"], {"timezone": "Berlin"}, "Europe/Berlin"),
    ("hour,intensity", ["0,9"], {}, "no column's name has a unit"),
    ("hour,g/kWh,kg/kWh", ["0,9,9"], {}, "several columns could be meant"),
    ("zone,g/kWh", ["DE,9"], {}, "no column of times"),
    ("time,g/kWh", ["2024-01-01T00:00Z,-4"], {}, "line 2: '-4'"),
    ("time,g/kWh", ["01.02.24,4"], {}, "not a time such as"),
    ("time,g/kWh", ["2024-01-01T00:00Z,4"], {"timezone": "UTC"}, "leave out"),
    ("time (UTC),g/kWh", ["2024-01-01T00:00,4"], {"timezone": "Asia/Tokyo"}, "says UTC"),
    ("time,g/kWh", ["2024-01-01T00:00Z,4", "2024-01-01T00:00Z,4"], {}, "is repeated"),
    ("time,g/kWh", ["2024-01-01T00:00Z,4", "2024-01-02T00:00Z,4"], {},
     r"23 of 25 hours are missing \(2024-01-01T01:00Z"),
    ("time,g/kWh", ["2024-01-01T00:00Z,4", "2024-01-01T01:00Z,4"], {}, "at least a whole day"),
    ("hour,kg/kWh", [f"{h},400" for h in range(24)], {"timezone": "UTC"}, "check the unit"),
    ("hour,g/kWh", [f"{h},0.4" for h in range(24)], {"timezone": "UTC"}, "check the unit"),
])  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(tmp_path, header, rows, knobs, words):
    with pytest.raises(ValueError, match=words) as error:
        HourlyIntensity(write(tmp_path, header, rows), **knobs)
    assert str(error.value).startswith("energy.grid_hourly: ")


def test_two_answers_and_no_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="both set the carbon intensity"):
        Carbon(grid_hourly=day(tmp_path), grid_timezone="UTC", grid_gco2e_per_kwh=3)
    with pytest.raises(ValueError, match="need a file"):
        Carbon(grid_timezone="UTC")
    with pytest.raises(ValueError, match="No such file"):
        Carbon(grid_hourly=str(tmp_path / "none.csv"))


def test_a_span_is_cut_at_the_hours():
    assert split_by_hour(7200.0, 7200.0) == [(2, 1.0)]
    assert split_by_hour(3600 * 2 + 1800, 3600 * 4 + 900) == [
        (2, pytest.approx(2 / 7)),
        (3, pytest.approx(4 / 7)),
        (4, pytest.approx(1 / 7)),
    ]


def test_grams_follow_the_clock(tmp_path):
    """A kilowatt from 5:30 to 7:15 at 105, 106 and 107 g/kWh, and once more as a resumed run."""
    carbon = Carbon(grid_hourly=day(tmp_path), grid_timezone="UTC", pue=2)
    clock = Clock()
    wall = (JANUARY + 5.5) * 3600
    meter = Meter([Steady(clock, 1000, every=600)], clock=clock, wall=lambda: wall + clock())
    with meter.phase("train"):
        clock.go(1.75 * 3600)  # nothing is read in between: spread by the seconds
    totals = meter.totals()
    assert {h - JANUARY: j / 3.6e6 for h, j in totals.hours.items()} == pytest.approx(
        {5: 0.5, 6: 1.0, 7: 0.25}
    )
    assert sum(totals.hours.values()) == pytest.approx(totals.joules)
    grams = 2 * (0.5 * 105 + 106 + 0.25 * 107)
    assert carbon.gco2e(totals.joules, totals.hours) == pytest.approx(grams)
    again = Meter([Steady(clock, 1000)], prior=totals, clock=clock, wall=lambda: wall + clock())
    clock.go(3600)
    more = grams + 2 * (0.75 * 107 + 0.25 * 108)
    assert carbon.gco2e(again.read(), again.hours) == pytest.approx(more)
    assert Carbon(grid_gco2e_per_kwh=50).gco2e(3.6e6, totals.hours) == 50


def test_joules_without_an_hour_cost_the_mean(tmp_path):
    carbon = Carbon(grid_hourly=day(tmp_path), grid_timezone="UTC")
    assert carbon.gco2e(7.2e6, {JANUARY: 3.6e6}) == pytest.approx(100 + 111.5)


def test_how_long_a_budget_of_grams_lasts(tmp_path):
    """1 kW from midnight: 100 g in the first hour, 101 in the second, 10.2 of the third's 102."""
    carbon, start = Carbon(grid_hourly=day(tmp_path), grid_timezone="UTC"), JANUARY * 3600.0
    assert carbon.seconds_until(211.2, 1000, start) == pytest.approx(2.1 * 3600)
    assert carbon.mean_intensity(2 * 3600, start) == pytest.approx(100.5)
    assert Carbon(grid_gco2e_per_kwh=100).seconds_until(50, 1000) == pytest.approx(1800)
    assert Carbon(grid_gco2e_per_kwh=0).seconds_until(50, 1000) == float("inf")
