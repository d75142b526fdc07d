"""How dirty a kWh is by the hour: a file of the user's, checked whole, then asked for moments."""

import datetime
import functools
import math
from pathlib import Path

from fxformer.energy.hourly_csv import HOUR, read
from fxformer.errors import UserError


class Hourly:
    """g CO2e/kWh of each hour since 1970 (UTC hours), from a CSV file of one of two kinds.

    By moment: a column of ISO 8601 times, hourly or finer (then averaged), no hour between the
    first and the last missing, a day at least. By hour of the day: a column `hour`, 0 to 23 each
    once, or 1 to 24 (the hour that ends then). Columns may be separated by commas, semicolons or
    tabs; with the latter two a figure may have a decimal comma. The other column's name holds its
    unit, as in exports of Electricity Maps (`Carbon Intensity gCO₂eq/kWh (life cycle)`) or,
    renamed, of WattTime (`MOER lbs/MWh`).

    column: of the figures; None: the only one with a unit, else the life cycle's
    timezone: of times without an offset ("Europe/Berlin"); None: where the file says itself

    An hour the file does not hold gets the mean of that hour of the day: of the same month where
    the file has one, else of all days. `knows` tells those apart. UserError says what is wrong.
    """

    def __init__(self, file: str, column: str | None = None, timezone: str | None = None):
        path = Path(file).expanduser()
        self.name, self.file = path.name, str(path)
        try:
            self._table, self._typical, self._zone, self.column = read(path, column, timezone)
        except (ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"energy.grid_hourly: {path}: {reason}") from error
        figures = self._table or self._typical
        self.mean = math.fsum(figures.values()) / len(figures)

    def at(self, hour: int) -> float:
        """g/kWh in the hour that begins `hour` hours after 1970 (UTC)."""
        known = self._table.get(hour)
        if known is not None:
            return known
        when = datetime.datetime.fromtimestamp(hour * HOUR, self._zone)
        of_all = self._typical.get((None, when.hour), self.mean)
        return self._typical.get((when.month, when.hour), of_all)

    def knows(self, hour: int) -> bool:
        """Whether the file holds this hour; a typical day holds all of them."""
        return not self._table or hour in self._table

    def between(self, start: float, seconds: float) -> float:
        """Mean g/kWh over a span: start in seconds since 1970; at least a second."""
        parts = overlaps(start, start + max(seconds, 1.0))
        return sum(self.at(hour) * share for hour, share in parts)


@functools.lru_cache(maxsize=8)
def _cached(file: str, column: str | None, timezone: str | None, changed: float) -> Hourly:
    return Hourly(file, column, timezone)


def read_hourly(file: str, column: str | None = None, timezone: str | None = None) -> Hourly:
    """`Hourly`, read once while the file does not change."""
    path = Path(file).expanduser()
    return _cached(file, column, timezone, path.stat().st_mtime if path.exists() else 0.0)


def overlaps(start: float, end: float) -> list[tuple[int, float]]:
    """The UTC hours that a span touches, each with its share of it; times in seconds."""
    first, last = int(start // HOUR), int(end // HOUR)
    if first >= last:
        return [(first, 1.0)]
    edges = [start, *((hour + 1) * HOUR for hour in range(first, last)), end]
    spans = [b - a for a, b in zip(edges, edges[1:], strict=False)]
    return [(first + n, s / (end - start)) for n, s in enumerate(spans) if s > 0]
