"""Joules to kWh and grams of CO2 equivalent: data-centre overhead (PUE), carbon intensity."""

import csv
import dataclasses
import difflib
import functools
import logging
import time
from collections.abc import Mapping
from importlib import resources

from fxformer.energy.hourly import HOUR, read_hourly
from fxformer.errors import UserError
from fxformer.types import NonNegative, Positive

JOULES_PER_KWH = 3.6e6
WORLD_AVERAGE = 475.0  # g/kWh, 2018; IEA Global Energy and CO2 Status Report 2019
MAX_SECONDS = 10 * 365 * 86400.0  # ten years: the longest time that `seconds_until` looks ahead

_SOURCES = {
    "owid": "Our World in Data / Ember (CC BY 4.0), as collected by codecarbon 3.3.2",
    "egrid": "US EPA eGRID 2023, annual CO2-equivalent total output rate",
    "mee": "Ministry of Ecology and Environment of China, announcement 2025 no. 47 (CO2 only)",
    "entsoe": "ENTSO-E generation by source, life-cycle factors; as collected by codecarbon 3.3.2",
}
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class CarbonIntensity:
    """Carbon intensity of a grid, in g CO2e/kWh, with the grid's name, the year and the source."""

    gco2e_per_kwh: float
    name: str
    year: int | None
    source: str


CARBON_OPTIONS = (
    "pue",
    "grid_gco2e_per_kwh",
    "region",
    "grid_hourly",
    "grid_column",
    "grid_timezone",
)
WORLD_GRID = CarbonIntensity(
    WORLD_AVERAGE, "world average", 2018, "IEA 2019, energy.region is not set"
)


class Carbon:
    """kWh = joules x PUE / 3.6e6; grams = kWh x the grid's intensity, hour by hour where known.

    pue: power usage effectiveness, watts of the building per watt of its computers; at least 1
    grid_gco2e_per_kwh: the user's own value; overrides `region`
    region: a code of `regions()`: ISO 3166 alpha-3 ("FRA"), or a part of one ("USA-CA", "CHN-BJ").
        An unknown code is a UserError. No option set: the world average; see `warn_of_default`
    grid_hourly: a CSV file by hour, which overrides `region`; see `HourlyIntensity`, also for
        grid_column and grid_timezone
    """

    def __init__(
        self,
        *,
        pue: Positive = 1.0,
        grid_gco2e_per_kwh: NonNegative | None = None,
        region: str | None = None,
        grid_hourly: str | None = None,
        grid_column: str | None = None,
        grid_timezone: str | None = None,
    ):
        if not pue >= 1:
            raise UserError(f"energy.pue is {pue}: it must be at least 1")
        if grid_hourly is not None and grid_gco2e_per_kwh is not None:
            raise UserError(
                "energy.grid_hourly and energy.grid_gco2e_per_kwh both set the carbon intensity; "
                "leave one of them out"
            )
        if grid_hourly is None and (grid_column is not None or grid_timezone is not None):
            raise UserError(
                "energy.grid_column and energy.grid_timezone need a file; write "
                "energy.grid_hourly=FILE, or leave them out"
            )
        self.pue, self.hourly = pue, None
        given = grid_gco2e_per_kwh is not None or grid_hourly is not None
        self.grid = WORLD_GRID if region is None else find_region(region)
        if grid_hourly is not None:
            self.hourly = read_hourly(grid_hourly, grid_column, grid_timezone)
            name = f"hourly, {self.hourly.name}" + (f", {region}" if region else "")
            source = f"the user's file, column {self.hourly.column!r}"
            self.grid = CarbonIntensity(self.hourly.mean, name, None, source)
        elif grid_gco2e_per_kwh is not None:
            name = region or "given"
            self.grid = CarbonIntensity(grid_gco2e_per_kwh, name, None, "the user's value")
        self.is_default = region is None and not given

    def warn_of_default(self) -> None:
        """Log that no option sets the carbon intensity, once in a process. For commands that begin
        a run, a search or a plan, after everything that may refuse it."""
        if self.is_default:
            _warn_once()

    def kwh(self, joules: float) -> float:
        """kWh drawn from the grid, with the overhead of the building (PUE)."""
        return joules * self.pue / JOULES_PER_KWH

    def gco2e(self, joules: float, hours: Mapping[int, float] | None = None) -> float:
        """Grams of CO2 equivalent.

        hours: {UTC hour since 1970: joules in it}, for an hourly grid; joules in none of the hours
            are counted at the grid's mean
        """
        if self.hourly is None or not hours:
            return self.kwh(joules) * self.grid.gco2e_per_kwh
        known = sum(self.kwh(part) * self.hourly.at(hour) for hour, part in hours.items())
        return known + self.kwh(joules - sum(hours.values())) * self.grid.gco2e_per_kwh

    def share_outside_file(self, hours: Mapping[int, float]) -> float:
        """The share of the joules in hours that the hourly file does not have; 0 without a file."""
        if self.hourly is None or not sum(hours.values()):
            return 0.0
        unknown = (part for hour, part in hours.items() if not self.hourly.has(hour))
        return sum(unknown) / sum(hours.values())

    def mean_intensity(self, seconds: float, start: float | None = None) -> float:
        """Mean g/kWh over a run of `seconds`. start: in seconds since 1970; None: now"""
        if self.hourly is None:
            return self.grid.gco2e_per_kwh
        return self.hourly.mean_between(time.time() if start is None else start, seconds)

    def seconds_until(self, grams: float, watts: float, start: float | None = None) -> float:
        """Seconds until constant watts have emitted `grams`; inf where the grid emits nothing."""
        if self.hourly is None:
            rate = self.gco2e(watts)
            return grams / rate if rate else float("inf")
        now = began = time.time() if start is None else start
        while now < began + MAX_SECONDS:
            left = (now // HOUR + 1) * HOUR - now
            rate = self.kwh(watts) * self.hourly.at(int(now // HOUR))
            if rate * left >= grams:
                return now - began + grams / rate
            grams, now = grams - rate * left, now + left
        return float("inf")

    def assumptions(self) -> dict[str, object]:
        """PUE and carbon intensity with its source, as JSON values."""
        return {"pue": self.pue, **dataclasses.asdict(self.grid)}


@functools.cache
def regions() -> dict[str, CarbonIntensity]:
    """The table of regions: {code: carbon intensity}."""
    return {
        row["code"]: CarbonIntensity(
            float(row["gco2e_per_kwh"]), row["name"], int(row["year"]), _SOURCES[row["source"]]
        )
        for row in _rows()
    }


@functools.cache
def _rows() -> list[dict[str, str]]:
    text = resources.files("fxformer.energy").joinpath("regions.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def find_region(code: str) -> CarbonIntensity:
    """The carbon intensity of region `code`; UserError with the nearest codes if it is unknown."""
    table = regions()
    if code in table:
        return table[code]
    if code.upper().startswith(("EU-", "EUROPE")) or code.upper() in ("EU", "EU27"):
        raise UserError(
            f"energy.region: no region {code!r}: there is no value for the EU as a "
            "whole; write a country such as DEU or FRA, or energy.grid_gco2e_per_kwh=…"
        )
    near = _similar(code, table)
    listed = ", ".join(f"{c} ({table[c].name})" for c in dict.fromkeys(near)) or "none"
    raise UserError(
        f"energy.region: no region {code!r}; nearest: {listed}; codes look like FRA, DEU, USA-CA"
    )


def _similar(code: str, table: Mapping[str, CarbonIntensity]) -> list[str]:
    """Codes that may be meant, the most likely first: the same in another case, an ISO 3166 alpha-2
    code or part of a country ("GB", "US-CA"), the same name; else codes of similar spelling."""
    head, _, part = code.strip().upper().replace("_", "-").partition("-")
    country = _alpha2().get(head, head)
    exact = [c for c in (f"{country}-{part}" if part else country,) if c in table]
    exact += [c for c, grid in table.items() if grid.name.casefold() == code.casefold()]
    if exact:
        return exact
    parts = [c for c in table if c.startswith(f"{country}-")] if part else []
    if parts or part and country in table:
        return [*difflib.get_close_matches(f"{country}-{part}", parts, 3, 0.5), country]
    names = {grid.name: c for c, grid in table.items()}
    close = [names[n] for n in difflib.get_close_matches(code.title(), names, 2)]
    return close + difflib.get_close_matches(code.upper(), table, 3, 0.5)


@functools.cache
def _alpha2() -> dict[str, str]:
    """{ISO 3166 alpha-2: alpha-3}, and two common codes that are not in ISO 3166, UK and EL."""
    codes = {row["alpha2"]: row["code"] for row in _rows() if row["alpha2"]}
    return codes | {"UK": "GBR", "EL": "GRC"}


@functools.cache
def _warn_once() -> None:
    _log.warning(
        "energy.region is not set: CO2e is computed with the world average of %g g/kWh",
        WORLD_AVERAGE,
    )
