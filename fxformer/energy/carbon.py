"""From joules to kWh and to grams of CO2 equivalent: the building's overhead and the grid's mix."""

import csv
import dataclasses
import difflib
import functools
import logging
from importlib import resources

from fxformer.types import NonNegative, Positive

JOULES_PER_KWH = 3.6e6
WORLD = 475.0  # g/kWh, 2018; IEA Global Energy and CO2 Status Report 2019

_SOURCES = {
    "owid": "Our World in Data / Ember (CC BY 4.0), as collected by codecarbon 3.3.2",
    "egrid": "US EPA eGRID 2023, annual CO2-equivalent total output rate",
    "mee": "Ministry of Ecology and Environment of China, announcement 2025 no. 47 (CO2 only)",
}
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Grid:
    """How dirty a kWh is: g CO2e/kWh, with where, when and whose figure that is."""

    gco2e_per_kwh: float
    name: str
    year: int | None
    source: str


class Carbon:
    """kWh = joules x PUE / 3.6e6; grams = kWh x the grid's intensity.

    pue: power usage effectiveness, what the building draws per watt of computer; at least 1
    grid_gco2e_per_kwh: the user's own figure; wins over `region`
    region: a code of `regions()`: ISO 3166 alpha-3 ("FRA"), or a part of one ("USA-CA", "CHN-BJ").
        An unknown code is a ValueError. Neither given: the world's average, with a warning
    """

    def __init__(
        self,
        *,
        pue: Positive = 1.0,
        grid_gco2e_per_kwh: NonNegative | None = None,
        region: str | None = None,
    ):
        if not pue >= 1:
            raise ValueError(f"energy.pue is {pue}: a building cannot draw less than its machines")
        self.pue = pue
        if region is not None:
            self.grid = look_up(region)
        else:
            self.grid = Grid(WORLD, "world average", 2018, "IEA 2019, no region was given")
        if grid_gco2e_per_kwh is not None:
            self.grid = Grid(grid_gco2e_per_kwh, region or "given", None, "the user's value")
        elif region is None:
            _warn_once()

    def kwh(self, joules: float) -> float:
        """Electricity drawn from the grid, the building's overhead included."""
        return joules * self.pue / JOULES_PER_KWH

    def gco2e(self, joules: float) -> float:
        """Grams of CO2 equivalent."""
        return self.kwh(joules) * self.grid.gco2e_per_kwh

    def facts(self) -> dict[str, object]:
        """What was assumed, for the run's record."""
        return {"pue": self.pue, **dataclasses.asdict(self.grid)}


@functools.cache
def regions() -> dict[str, Grid]:
    """The table of facts: code -> grid."""
    text = resources.files("fxformer.energy").joinpath("regions.csv").read_text(encoding="utf-8")
    return {
        row["code"]: Grid(float(row["gco2e_per_kwh"]), row["name"], int(row["year"]),
                          _SOURCES[row["source"]])
        for row in csv.DictReader(text.splitlines())
    }


def look_up(code: str) -> Grid:
    """The grid of `code`; ValueError with the nearest codes when there is none."""
    table = regions()
    if code in table:
        return table[code]
    near = [c for c in table if c.casefold() == code.casefold()]
    near += [c for c, grid in table.items() if grid.name.casefold() == code.casefold()]
    names = {grid.name: c for c, grid in table.items()}
    near += [names[n] for n in difflib.get_close_matches(code.title(), names, 2)]
    near += difflib.get_close_matches(code.upper(), table, 3, 0.5)
    listed = ", ".join(f"{c} ({table[c].name})" for c in dict.fromkeys(near)) or "none"
    raise ValueError(
        f"energy.region: no region {code!r}; nearest: {listed}; codes look like FRA, DEU, USA-CA")


@functools.cache
def _warn_once() -> None:
    _log.warning("no energy.region: CO2e is counted at the world average of %g g/kWh", WORLD)
