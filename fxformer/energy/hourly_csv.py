"""A file of carbon intensity by the hour, read and checked to the last row."""

import csv
import datetime
import difflib
import math
import zoneinfo
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fxformer.energy.units import factor
from fxformer.errors import UserError

HOUR = 3600
DIRTIEST = 3000.0  # g/kWh: no grid on Earth comes near; a wrong unit does
_TIMES = ("datetime", "timestamp", "point_time", "time", "date", "hour")
_LIFE = ("life", "lca")  # of the two figures Electricity Maps exports, the one that is CO2e of all


class Series(NamedTuple):
    """table: {UTC hour since 1970: g/kWh}, empty for a file by hour of the day
    typical: {(month, or None for all, hour of the day in `zone`): g/kWh}
    column: the figures' name in the file
    """

    table: dict[int, float]
    typical: dict[tuple[int | None, int], float]
    zone: datetime.tzinfo
    column: str


def read(path: Path, column: str | None, timezone: str | None) -> Series:
    """The file's figures. UserError says what is wrong; knobs as of `Hourly`."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        separator = _separator(file.readline())
        file.seek(0)
        rows = csv.DictReader(file, delimiter=separator)
        names = [name for name in rows.fieldnames or () if name]
        time, value = _time_column(names), _value_column(names, column)
        scale = factor(value)
        lines = [(rows.line_num, row[time] or "", row[value]) for row in rows]
    if not lines:
        raise UserError("it has no rows")
    figures = [_figure(text, line, value, separator) * scale for line, _, text in lines]
    stamps = [(line, text) for line, text, _ in lines]
    if time.strip().casefold() == "hour":
        zone = zone_of(time, timezone)
        return Series({}, _day(stamps, figures), zone, value)
    seconds, zone = _moments(stamps, time, timezone)
    table = _hours(seconds, figures)
    return Series(table, _typical(table, zone), zone, value)


def zone_of(column: str, given: str | None) -> datetime.tzinfo:
    """The zone of times without an offset: as the column's name says, or as given."""
    if "utc" in column.casefold() or "gmt" in column.casefold():
        if given not in (None, "UTC"):
            raise UserError(f"column {column!r} says UTC, and energy.grid_timezone says {given}")
        return datetime.UTC
    if given is None:
        raise UserError(
            f"nothing says in which time zone column {column!r} is; write "
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
            f"energy.grid_timezone: there is no zone {given!r}; nearest: "
            f"{', '.join(dict.fromkeys(near)) or 'UTC, Europe/Berlin'}"
        ) from error


def _time_column(names: Sequence[str]) -> str:
    for word in _TIMES:
        for name in names:
            if name.strip().casefold().startswith(word):
                return name
    raise UserError(
        f"no column of times: wants `timestamp`, `Datetime (UTC)` or `hour`, and has "
        f"{', '.join(names) or 'nothing'}"
    )


def _value_column(names: Sequence[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted in names:
            return wanted
        near = difflib.get_close_matches(wanted, names, 1) or names
        raise UserError(f"energy.grid_column: no column {wanted!r}; did you mean {near[0]!r}?")
    found = [name for name in names if factor(name, strict=False)]
    life = [name for name in found if any(word in name.casefold() for word in _LIFE)]
    if len(found) == 1 or len(life) == 1:
        return found[0] if len(found) == 1 else life[0]
    if found:
        raise UserError(
            f"several columns could be meant: {', '.join(map(repr, found))}; write "
            "energy.grid_column='…'"
        )
    raise UserError(
        "no column's name holds a unit such as gCO2e/kWh, kg/MWh or lbs/MWh; rename the right one "
        f"of {', '.join(map(repr, names))} (WattTime's figures are lbs/MWh)"
    )


def _separator(header: str) -> str:
    """What stands between the columns: a comma, a semicolon or a tab, whichever there is most of.
    Where it is not the comma, that may be the decimal point."""
    return max(",;\t", key=header.count)


def _figure(text: str | None, line: int, column: str, separator: str) -> float:
    plain = text or ""
    if separator != "," and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        value = float(plain)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UserError(f"line {line}: {text!r} in {column!r} is no figure of 0 or more")
    return value


def _day(stamps: Sequence[tuple[int, str]], figures: Sequence[float]) -> Mapping:
    """{(None, hour of the day): g/kWh} of rows 0 to 23; or 1 to 24, hours named by their ends."""
    found: dict[int, float] = {}
    for (line, text), value in zip(stamps, figures, strict=True):
        plain = text.strip().removesuffix(":00")
        if not plain.isdigit() or int(plain) > 24:
            raise UserError(
                f"line {line}: hour {text!r}; hours of the day are 0 to 23, or 1 to "
                "24 where they are named by their ends"
            )
        if int(plain) in found:
            raise UserError(f"line {line}: hour {text} stands there twice")
        found[int(plain)] = value
    if 24 in found and 0 in found:
        raise UserError("there are both an hour 0 and an hour 24: write 0 to 23, or 1 to 24")
    first = 1 if 24 in found else 0
    missing = [str(hour) for hour in range(first, first + 24) if hour not in found]
    if missing:
        raise UserError(f"hours {', '.join(missing)} of the day are missing")
    _plausible(figures)
    return {(None, hour - first): value for hour, value in found.items()}


def _moments(stamps, column: str, timezone: str | None) -> tuple[list[float], datetime.tzinfo]:
    """Each row's time in seconds since 1970, and the zone whose hours make the typical day."""
    times: list[datetime.datetime] = []
    for line, text in stamps:
        try:
            times.append(datetime.datetime.fromisoformat(text.strip()))
        except ValueError as error:
            raise UserError(f"line {line}: {text!r} is no time like 2024-01-31T17:00") from error
    own = times[0].tzinfo is not None
    if any((time.tzinfo is not None) is not own for time in times):
        raise UserError("some times have an offset from UTC and some have none")
    if own and timezone is not None:
        raise UserError("its times say their offsets; leave out energy.grid_timezone")
    zone = datetime.UTC if own else zone_of(column, timezone)
    moments: dict[float, None] = {}  # in their order
    for (line, text), time in zip(stamps, times, strict=True):
        when = (time if own else time.replace(tzinfo=zone)).timestamp()
        if when in moments and not own:  # the hour that summer time gives back comes twice
            when = time.replace(tzinfo=zone, fold=1).timestamp()
        if when in moments:
            raise UserError(f"line {line}: {text} stands there twice; a file is of one grid")
        moments[when] = None
    return list(moments), zone


def _hours(seconds: Sequence[float], figures: Sequence[float]) -> dict[int, float]:
    """{UTC hour: mean of its rows}; UserError for what is missing or cannot be."""
    groups: dict[int, list[float]] = defaultdict(list)
    for when, value in zip(seconds, figures, strict=True):
        groups[int(when // HOUR)].append(value)
    first, last = min(groups), max(groups)
    missing = [hour for hour in range(first, last + 1) if hour not in groups]
    if missing:
        at = [datetime.datetime.fromtimestamp(h * HOUR, datetime.UTC) for h in missing[:3]]
        named = ", ".join(f"{one:%Y-%m-%dT%H:00Z}" for one in at)
        more = ", …" if len(missing) > 3 else ""
        raise UserError(
            f"{len(missing)} of {last - first + 1} hours are missing ({named}{more}); "
            "an hourly file is wanted, filled where it has gaps"
        )
    if last - first < 23:
        raise UserError(f"it holds {last - first + 1} hours; a whole day is the least")
    _plausible(figures)
    return {hour: math.fsum(rows) / len(rows) for hour, rows in groups.items()}


def _typical(table: Mapping[int, float], zone: datetime.tzinfo) -> dict:
    """{(month or None for all, hour of the day in `zone`): mean}."""
    groups: dict[tuple, list[float]] = defaultdict(list)
    for hour, value in table.items():
        when = datetime.datetime.fromtimestamp(hour * HOUR, zone)
        groups[when.month, when.hour].append(value)
        groups[None, when.hour].append(value)
    return {key: math.fsum(values) / len(values) for key, values in groups.items()}


def _plausible(figures: Sequence[float]) -> None:
    """UserError where the unit in the column's name cannot be right."""
    if max(figures) > DIRTIEST or 0 < max(figures) < 2:
        raise UserError(
            f"its largest figure comes to {max(figures):g} g/kWh; grids have some "
            "tens to some hundreds: is the unit in the column's name right?"
        )
