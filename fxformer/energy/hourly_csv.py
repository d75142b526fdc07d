"""Reader of CSV files of hourly carbon intensity: columns, units, time zones, missing hours."""

import csv
import datetime
import difflib
import math
import re
import zoneinfo
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fxformer.errors import UserError

HOUR = 3600
MAX_INTENSITY = 3000.0  # g/kWh: above any grid; a wrong unit exceeds it
_TIMES = ("datetime", "timestamp", "point_time", "time", "date", "hour")
_LIFE_CYCLE = ("life", "lca")  # Electricity Maps exports direct and life-cycle intensities
_GRAMS = {"g": 1.0, "kg": 1e3, "t": 1e6, "lb": 453.59237, "lbs": 453.59237}
_PER_KWH = {"kwh": 1.0, "mwh": 1e3}
_UNIT = re.compile(
    r"(?<![a-z])(kg|g|lbs|lb|t)[\s_]*(?:co2[\s_.-]*(?:eq?)?)?[\s_.]*(?:/|per)[\s_]*(kwh|mwh)"
)


class HourlySeries(NamedTuple):
    """Carbon intensity by hour, in g CO2e/kWh.

    table: {UTC hour since 1970: g/kWh}, empty for a file by hour of the day
    typical: {(month, or None for all, hour of the day in `zone`): g/kWh}
    column: name of the values' column in the file
    """

    table: dict[int, float]
    typical: dict[tuple[int | None, int], float]
    zone: datetime.tzinfo
    column: str


def read_csv(path: Path, column: str | None, timezone: str | None) -> HourlySeries:
    """The series in a file; arguments as of `HourlyIntensity`. UserError says what is wrong."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        separator = _separator(file.readline())
        file.seek(0)
        rows = csv.DictReader(file, delimiter=separator)
        names = [name for name in rows.fieldnames or () if name]
        time, value = _time_column(names), _value_column(names, column)
        scale = unit_factor(value)
        lines = [(rows.line_num, row[time] or "", row[value]) for row in rows]
    if not lines:
        raise UserError("it has no rows")
    values = [_number(text, line, value, separator) * scale for line, _, text in lines]
    stamps = [(line, text) for line, text, _ in lines]
    if time.strip().casefold() == "hour":
        zone = time_zone(time, timezone)
        return HourlySeries({}, _hours_of_day(stamps, values), zone, value)
    seconds, zone = _moments(stamps, time, timezone)
    table = _hours(seconds, values)
    return HourlySeries(table, _typical(table, zone), zone, value)


def unit_factor(name: str, *, strict: bool = True) -> float:
    """Factor from the unit in a column's name to g/kWh: "gCO₂eq/kWh" 1, "kg/MWh" 1,
    "lbs_co2_per_mwh" 0.4536. UserError where the name has no unit; not strict: 0."""
    found = _UNIT.search(name.casefold().replace("₂", "2"))
    if found is None:
        if not strict:
            return 0.0
        raise UserError(f"the name of column {name!r} has no unit such as gCO2e/kWh or lbs/MWh")
    return _GRAMS[found[1]] / _PER_KWH[found[2]]


def time_zone(column: str, given: str | None) -> datetime.tzinfo:
    """The zone of times without an offset: from the column's name, else `given`."""
    if "utc" in column.casefold() or "gmt" in column.casefold():
        if given not in (None, "UTC"):
            raise UserError(f"column {column!r} says UTC, and energy.grid_timezone says {given}")
        return datetime.UTC
    if given is None:
        raise UserError(
            f"the time zone of column {column!r} is unknown; write "
            "energy.grid_timezone=UTC, or Europe/Berlin or the like"
        )
    try:
        return datetime.UTC if given == "UTC" else zoneinfo.ZoneInfo(given)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        known = zoneinfo.available_timezones()
        cities = {name.rpartition("/")[2].casefold(): name for name in known}
        near = difflib.get_close_matches(given, known, 3)
        near += [cities[c] for c in difflib.get_close_matches(given.casefold(), cities, 2)]
        raise UserError(
            f"energy.grid_timezone: no time zone {given!r}; nearest: "
            f"{', '.join(dict.fromkeys(near)) or 'UTC, Europe/Berlin'}"
        ) from error


def _time_column(names: Sequence[str]) -> str:
    for word in _TIMES:
        for name in names:
            if name.strip().casefold().startswith(word):
                return name
    raise UserError(
        f"no column of times: expected `timestamp`, `Datetime (UTC)` or `hour`, got "
        f"{', '.join(names) or 'nothing'}"
    )


def _value_column(names: Sequence[str], column: str | None) -> str:
    if column is not None:
        if column in names:
            return column
        near = difflib.get_close_matches(column, names, 1) or names
        raise UserError(f"energy.grid_column: no column {column!r}; did you mean {near[0]!r}?")
    found = [name for name in names if unit_factor(name, strict=False)]
    life = [name for name in found if any(word in name.casefold() for word in _LIFE_CYCLE)]
    if len(found) == 1 or len(life) == 1:
        return found[0] if len(found) == 1 else life[0]
    if found:
        raise UserError(
            f"several columns could be meant: {', '.join(map(repr, found))}; write "
            "energy.grid_column='…'"
        )
    raise UserError(
        "no column's name has a unit such as gCO2e/kWh, kg/MWh or lbs/MWh; rename the right one "
        f"of {', '.join(map(repr, names))} (WattTime's values are lbs/MWh)"
    )


def _separator(header: str) -> str:
    """The column separator: the most frequent of comma, semicolon and tab. With the latter two,
    values may have a decimal comma."""
    return max(",;\t", key=header.count)


def _number(text: str | None, line: int, column: str, separator: str) -> float:
    number = text or ""
    if separator != "," and "." not in number:
        number = number.replace(",", ".")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UserError(f"line {line}: {text!r} in {column!r} is not a number of 0 or more")
    return value


def _hours_of_day(stamps: Sequence[tuple[int, str]], values: Sequence[float]) -> dict:
    """{(None, hour of the day): g/kWh} of rows 0 to 23, or 1 to 24 (end of the hour)."""
    found: dict[int, float] = {}
    for (line, text), value in zip(stamps, values, strict=True):
        hour = text.strip().removesuffix(":00")
        if not hour.isdigit() or int(hour) > 24:
            raise UserError(
                f"line {line}: hour {text!r}; hours of the day are 0 to 23, or 1 to "
                "24 where they name the end of the hour"
            )
        if int(hour) in found:
            raise UserError(f"line {line}: hour {text} is repeated")
        found[int(hour)] = value
    if 24 in found and 0 in found:
        raise UserError("there are both an hour 0 and an hour 24: write 0 to 23, or 1 to 24")
    first = 1 if 24 in found else 0
    missing = [str(hour) for hour in range(first, first + 24) if hour not in found]
    if missing:
        raise UserError(f"hours {', '.join(missing)} of the day are missing")
    _check_range(values)
    return {(None, hour - first): value for hour, value in found.items()}


def _moments(stamps, column: str, timezone: str | None) -> tuple[list[float], datetime.tzinfo]:
    """Each row's time in seconds since 1970, and the zone whose hours make the typical day."""
    times: list[datetime.datetime] = []
    for line, text in stamps:
        try:
            times.append(datetime.datetime.fromisoformat(text.strip()))
        except ValueError as error:
            raise UserError(
                f"line {line}: {text!r} is not a time such as 2024-01-31T17:00"
            ) from error
    own = times[0].tzinfo is not None
    if any((time.tzinfo is not None) is not own for time in times):
        raise UserError("some times have an offset from UTC and some have none")
    if own and timezone is not None:
        raise UserError("its times have offsets from UTC; leave out energy.grid_timezone")
    zone = datetime.UTC if own else time_zone(column, timezone)
    moments: dict[float, None] = {}  # in their order
    for (line, text), time in zip(stamps, times, strict=True):
        when = (time if own else time.replace(tzinfo=zone)).timestamp()
        if when in moments and not own:  # the hour repeated at the end of summer time
            when = time.replace(tzinfo=zone, fold=1).timestamp()
        if when in moments:
            raise UserError(f"line {line}: {text} is repeated; a file must have one grid only")
        moments[when] = None
    return list(moments), zone


def _hours(seconds: Sequence[float], values: Sequence[float]) -> dict[int, float]:
    """{UTC hour: mean of its rows}; UserError for missing hours and implausible values."""
    groups: dict[int, list[float]] = defaultdict(list)
    for when, value in zip(seconds, values, strict=True):
        groups[int(when // HOUR)].append(value)
    first, last = min(groups), max(groups)
    missing = [hour for hour in range(first, last + 1) if hour not in groups]
    if missing:
        at = [datetime.datetime.fromtimestamp(h * HOUR, datetime.UTC) for h in missing[:3]]
        named = ", ".join(f"{one:%Y-%m-%dT%H:00Z}" for one in at)
        more = ", …" if len(missing) > 3 else ""
        raise UserError(
            f"{len(missing)} of {last - first + 1} hours are missing ({named}{more}); "
            "every hour needs a value"
        )
    if last - first < 23:
        raise UserError(f"it holds {last - first + 1} hours; at least a whole day is needed")
    _check_range(values)
    return {hour: math.fsum(rows) / len(rows) for hour, rows in groups.items()}


def _typical(table: Mapping[int, float], zone: datetime.tzinfo) -> dict:
    """{(month or None for all, hour of the day in `zone`): mean}."""
    groups: dict[tuple, list[float]] = defaultdict(list)
    for hour, value in table.items():
        when = datetime.datetime.fromtimestamp(hour * HOUR, zone)
        groups[when.month, when.hour].append(value)
        groups[None, when.hour].append(value)
    return {key: math.fsum(values) / len(values) for key, values in groups.items()}


def _check_range(values: Sequence[float]) -> None:
    """UserError where the unit in the column's name cannot be right."""
    if max(values) > MAX_INTENSITY or 0 < max(values) < 2:
        raise UserError(
            f"its largest value is {max(values):g} g/kWh, but grids have between 10 and 1000: "
            "check the unit in the column's name"
        )
