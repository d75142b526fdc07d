"""Hourly carbon intensity of the grid, from a CSV file."""

import datetime
import functools
import math
from pathlib import Path

from fxformer.energy.hourly_csv import HOUR, read_csv
from fxformer.errors import UserError


class HourlyIntensity:
    """Carbon intensity (g CO2e/kWh) by UTC hour since 1970, from a CSV file of one of two kinds.

    By time: a column of ISO 8601 times, hourly or finer (then averaged), with every hour between
    the first and the last, at least a day. By hour of the day: a column `hour`, 0 to 23 each once,
    or 1 to 24 (the end of the hour). Columns may be separated by commas, semicolons or tabs; with
    the latter two a value may have a decimal comma. The name of the value column has its unit, as
    in exports of Electricity Maps (`Carbon Intensity gCO₂eq/kWh (life cycle)`) or,
    renamed, of WattTime (`MOER lbs/MWh`).

    column: of the values; None: the only one with a unit, else the one of the life cycle
    timezone: of times without an offset ("Europe/Berlin"); None: the file says it

    An hour that is not in the file gets the mean of that hour of the day: of the same month where
    the file has one, else of all days. `has` tells the two apart. UserError: what is
    wrong with the file.
    """

    def __init__(self, file: str, column: str | None = None, timezone: str | None = None):
        path = Path(file).expanduser()
        self.name, self.file = path.name, str(path)
        try:
            self._table, self._typical, self._zone, self.column = read_csv(path, column, timezone)
        except (ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"energy.grid_hourly: {path}: {reason}") from error
        values = (self._table or self._typical).values()
        self.mean = math.fsum(values) / len(values)

    def at(self, hour: int) -> float:
        """g/kWh in the hour that begins `hour` hours after 1970 (UTC)."""
        known = self._table.get(hour)
        if known is not None:
            return known
        when = datetime.datetime.fromtimestamp(hour * HOUR, self._zone)
        of_all = self._typical.get((None, when.hour), self.mean)
        return self._typical.get((when.month, when.hour), of_all)

    def has(self, hour: int) -> bool:
        """Whether the file has this hour; a file by hour of the day has every hour."""
        return not self._table or hour in self._table

    def mean_between(self, start: float, seconds: float) -> float:
        """Mean g/kWh over a span: start in seconds since 1970; at least a second."""
        parts = split_by_hour(start, start + max(seconds, 1.0))
        return sum(self.at(hour) * share for hour, share in parts)


@functools.lru_cache(maxsize=8)
def _cached(file: str, column: str | None, timezone: str | None, changed: float) -> HourlyIntensity:
    return HourlyIntensity(file, column, timezone)


def read_hourly(
    file: str, column: str | None = None, timezone: str | None = None
) -> HourlyIntensity:
    """`HourlyIntensity`, cached while the file does not change."""
    path = Path(file).expanduser()
    return _cached(file, column, timezone, path.stat().st_mtime if path.exists() else 0.0)


def split_by_hour(start: float, end: float) -> list[tuple[int, float]]:
    """[(UTC hour since 1970, its share of the span), …]; start and end in seconds since 1970."""
    first, last = int(start // HOUR), int(end // HOUR)
    if first >= last:
        return [(first, 1.0)]
    edges = [start, *((hour + 1) * HOUR for hour in range(first, last)), end]
    spans = [b - a for a, b in zip(edges, edges[1:], strict=False)]
    return [(first + n, s / (end - start)) for n, s in enumerate(spans) if s > 0]
