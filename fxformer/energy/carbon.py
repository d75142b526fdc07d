"""From joules to kWh and to grams of CO2 equivalent: the building's overhead and the grid's mix."""

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
WORLD = 475.0  # g/kWh, 2018; IEA Global Energy and CO2 Status Report 2019
DECADE = 10 * 365 * 86400.0  # seconds; no run is planned for longer

_SOURCES = {
    "owid": "Our World in Data / Ember (CC BY 4.0), as collected by codecarbon 3.3.2",
    "egrid": "US EPA eGRID 2023, annual CO2-equivalent total output rate",
    "mee": "Ministry of Ecology and Environment of China, announcement 2025 no. 47 (CO2 only)",
    "entsoe": "ENTSO-E generation by source, life-cycle factors; as collected by codecarbon 3.3.2",
}
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Grid:
    """How dirty a kWh is: g CO2e/kWh, with where, when and whose figure that is."""

    gco2e_per_kwh: float
    name: str
    year: int | None
    source: str


KNOBS = ("pue", "grid_gco2e_per_kwh", "region", "grid_hourly", "grid_column", "grid_timezone")
WORLD_GRID = Grid(WORLD, "world average", 2018, "IEA 2019, no region was given")


class Carbon:
    """kWh = joules x PUE / 3.6e6; grams = kWh x the grid's intensity, hour by hour if known so.

    pue: power usage effectiveness, what the building draws per watt of computer; at least 1
    grid_gco2e_per_kwh: the user's own figure; wins over `region`
    region: a code of `regions()`: ISO 3166 alpha-3 ("FRA"), or a part of one ("USA-CA", "CHN-BJ").
        An unknown code is a UserError. Nothing given: the world's average, with a warning
    grid_hourly: a file of figures by the hour, which wins over `region`; see `Hourly`, also for
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
            raise UserError(f"energy.pue is {pue}: a building cannot draw less than its machines")
        if grid_hourly is not None and grid_gco2e_per_kwh is not None:
            raise UserError(
                "energy.grid_hourly and energy.grid_gco2e_per_kwh both say how dirty "
                "the grid is; leave one of them out"
            )
        if grid_hourly is None and (grid_column is not None or grid_timezone is not None):
            raise UserError(
                "energy.grid_column and energy.grid_timezone are about a file; write "
                "energy.grid_hourly=FILE, or leave them out"
            )
        self.pue, self.hourly = pue, None
        given = grid_gco2e_per_kwh is not None or grid_hourly is not None
        self.grid = WORLD_GRID if region is None else look_up(region)
        if grid_hourly is not None:
            self.hourly = read_hourly(grid_hourly, grid_column, grid_timezone)
            name = f"hourly, {self.hourly.name}" + (f", {region}" if region else "")
            source = f"the user's file, column {self.hourly.column!r}"
            self.grid = Grid(self.hourly.mean, name, None, source)
        elif grid_gco2e_per_kwh is not None:
            self.grid = Grid(grid_gco2e_per_kwh, region or "given", None, "the user's value")
        if region is None and not given:
            _warn_once()

    def kwh(self, joules: float) -> float:
        """Electricity drawn from the grid, the building's overhead included."""
        return joules * self.pue / JOULES_PER_KWH

    def gco2e(self, joules: float, hours: Mapping[int, float] | None = None) -> float:
        """Grams of CO2 equivalent.

        hours: {UTC hour since 1970: joules of it}, for a grid known by the hour; what of the
            joules lies in none of them is charged the grid's mean
        """
        if self.hourly is None or not hours:
            return self.kwh(joules) * self.grid.gco2e_per_kwh
        known = sum(self.kwh(part) * self.hourly.at(hour) for hour, part in hours.items())
        return known + self.kwh(joules - sum(hours.values())) * self.grid.gco2e_per_kwh

    def guessed(self, hours: Mapping[int, float]) -> float:
        """The share of the joules in hours that the hourly file does not hold, 0 without one."""
        if self.hourly is None or not sum(hours.values()):
            return 0.0
        unknown = (part for hour, part in hours.items() if not self.hourly.knows(hour))
        return sum(unknown) / sum(hours.values())

    def ahead(self, seconds: float, start: float | None = None) -> float:
        """Mean g/kWh over a run of so many seconds. start: in seconds since 1970; None: now"""
        if self.hourly is None:
            return self.grid.gco2e_per_kwh
        return self.hourly.between(time.time() if start is None else start, seconds)

    def lasts(self, grams: float, watts: float, start: float | None = None) -> float:
        """Seconds until steady watts have cost so many grams; inf on a grid that emits nothing."""
        if self.hourly is None:
            pace = self.gco2e(watts)
            return grams / pace if pace else float("inf")
        now = began = time.time() if start is None else start
        while now < began + DECADE:
            left = (now // HOUR + 1) * HOUR - now
            pace = self.kwh(watts) * self.hourly.at(int(now // HOUR))
            if pace * left >= grams:
                return now - began + grams / pace
            grams, now = grams - pace * left, now + left
        return float("inf")

    def facts(self) -> dict[str, object]:
        """What was assumed, for the run's record."""
        return {"pue": self.pue, **dataclasses.asdict(self.grid)}


@functools.cache
def regions() -> dict[str, Grid]:
    """The table of facts: code -> grid."""
    return {
        row["code"]: Grid(
            float(row["gco2e_per_kwh"]), row["name"], int(row["year"]), _SOURCES[row["source"]]
        )
        for row in _rows()
    }


@functools.cache
def _rows() -> list[dict[str, str]]:
    text = resources.files("fxformer.energy").joinpath("regions.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def look_up(code: str) -> Grid:
    """The grid of `code`; UserError with the nearest codes when there is none."""
    table = regions()
    if code in table:
        return table[code]
    if code.upper().startswith(("EU-", "EUROPE")) or code.upper() in ("EU", "EU27"):
        raise UserError(
            f"energy.region: no region {code!r}: there is no figure of the EU as a "
            "whole; write a country, as DEU or FRA, or energy.grid_gco2e_per_kwh=…"
        )
    near = _alike(code, table)
    listed = ", ".join(f"{c} ({table[c].name})" for c in dict.fromkeys(near)) or "none"
    raise UserError(
        f"energy.region: no region {code!r}; nearest: {listed}; codes look like FRA, DEU, USA-CA"
    )


def _alike(code: str, table: Mapping[str, Grid]) -> list[str]:
    """Codes that may be meant, the surest first: the same in other letters, an ISO 3166 alpha-2
    code or part of a country ("GB", "US-CA"), the same name; else what is spelled like it."""
    head, _, part = code.strip().upper().replace("_", "-").partition("-")
    country = _alpha2().get(head, head)
    sure = [c for c in (f"{country}-{part}" if part else country,) if c in table]
    sure += [c for c, grid in table.items() if grid.name.casefold() == code.casefold()]
    if sure:
        return sure
    parts = [c for c in table if c.startswith(f"{country}-")] if part else []
    if parts or part and country in table:
        return [*difflib.get_close_matches(f"{country}-{part}", parts, 3, 0.5), country]
    names = {grid.name: c for c, grid in table.items()}
    close = [names[n] for n in difflib.get_close_matches(code.title(), names, 2)]
    return close + difflib.get_close_matches(code.upper(), table, 3, 0.5)


@functools.cache
def _alpha2() -> dict[str, str]:
    """ISO 3166 alpha-2 -> alpha-3, and two codes in use that are none: {"GB": "GBR", "UK": …}."""
    codes = {row["alpha2"]: row["code"] for row in _rows() if row["alpha2"]}
    return codes | {"UK": "GBR", "EL": "GRC"}


@functools.cache
def _warn_once() -> None:
    _log.warning("no energy.region: CO2e is counted at the world average of %g g/kWh", WORLD)
