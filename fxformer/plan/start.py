"""When to begin a run: the same hours of work on a grid that differs by the hour."""

import dataclasses
import datetime
import time

from fxformer.energy.carbon import Carbon
from fxformer.energy.hourly_csv import HOUR

AHEAD = 24  # hours one would wait at most


@dataclasses.dataclass(frozen=True)
class Start:
    """seconds: since 1970, when the run would begin
    gco2e_per_kwh: mean over the run; known: whether the file holds the hour it begins in
    """

    seconds: float
    gco2e_per_kwh: float
    known: bool

    @property
    def words(self) -> str:
        """The local time, as of this machine."""
        return f"{datetime.datetime.fromtimestamp(self.seconds).astimezone():%a %H:%M}"

    def plain(self) -> dict:
        """For JSON."""
        when = datetime.datetime.fromtimestamp(self.seconds, datetime.UTC)
        return {
            "start": when.isoformat(timespec="seconds"),
            "known": self.known,
            "gco2e_per_kwh": self.gco2e_per_kwh,
        }


def starts(carbon: Carbon, seconds: float, now: float | None = None) -> list[Start]:
    """Now, and each full hour of the next 24, for a run of so many seconds on an hourly grid."""
    now = time.time() if now is None else now
    hours = [(now // HOUR + n) * HOUR for n in range(1, AHEAD + 1)]
    return [
        Start(when, carbon.mean_intensity(seconds, when), carbon.hourly.has(int(when // HOUR)))
        for when in (now, *hours)
    ]
