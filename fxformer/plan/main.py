"""`fxformer plan`: one forecast, or those of a sweep and their sum."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from fxformer.config.build import build
from fxformer.energy.carbon import Carbon, find_region
from fxformer.errors import UserError
from fxformer.plan.forecast import Forecast, forecast
from fxformer.plan.start import starts
from fxformer.plan.table import show, show_sweep, together
from fxformer.train.compile import use_compile_cache


class Planner:
    """Called for each job; remembers what it found, so that a sweep has a sum."""

    def __init__(self, console: Console | None = None):
        self.console, self.found = console or Console(), []
        self._last: tuple[Carbon, Sequence[str]] | None = None

    def __call__(self, cfg: DictConfig) -> None:
        """Forecast, print, write."""
        if cfg.resume is not None:
            raise UserError("resume: a plan is for a run from its beginning; leave it out")
        use_compile_cache(cfg.trainer.compile_cache)
        knobs, carbon = build(cfg.plan), build(cfg.energy).carbon
        words = "making real steps …" if knobs.calibrate else "building, nothing is trained …"
        with self.console.status(words):
            found = forecast(cfg, knobs)
        carbon.warn_of_default()
        self.found.append(found)
        show(found, carbon, knobs.elsewhere, self.console)
        self._last = carbon, knobs.elsewhere
        self._write(carbon, knobs.elsewhere, knobs.json)

    def close(self) -> None:
        """The sum, where there were several."""
        if len(self.found) > 1:
            show_sweep(self.found, *self._last, self.console)

    def _write(self, carbon: Carbon, elsewhere: Sequence[str], file: str | None) -> None:
        if file is None:
            return
        runs = [_plain(one, carbon) for one in self.found]
        total = {key: sum(run[key] for run in runs) for key in ("seconds", "kwh", "gco2e")}
        seconds, joules = together(self.found)
        total |= {"joules": joules.value, "joules_sigma": joules.sigma}
        total["seconds_sigma"] = seconds.sigma
        body = {"grid": carbon.assumptions(), "runs": runs, "total": total}
        body["elsewhere"] = {
            code: _there(joules.value, seconds.value, carbon, code) for code in elsewhere
        }
        if carbon.hourly is not None:
            body["starts"] = [one.plain() for one in starts(carbon, seconds.value)]
        Path(file).expanduser().write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def _there(joules: float, seconds: float, carbon: Carbon, code: str) -> dict:
    """The same joules in another region."""
    here, there = carbon.mean_intensity(seconds), find_region(code)
    grams = carbon.kwh(joules) * there.gco2e_per_kwh
    change = there.gco2e_per_kwh / here - 1 if here else None
    return dataclasses.asdict(there) | {"gco2e": grams, "against_here": change}


def _plain(one: Forecast, carbon: Carbon) -> dict:
    """For JSON: sums as plain numbers, their standard deviations beside them."""
    body = dataclasses.asdict(one)
    grams = carbon.kwh(one.joules.value) * carbon.mean_intensity(one.seconds.value)
    return body | {
        "seconds": one.seconds.value,
        "seconds_sigma": one.seconds.sigma,
        "seconds_interval": one.seconds.interval,
        "joules_interval": one.joules.interval,
        "joules": one.joules.value,
        "joules_sigma": one.joules.sigma,
        "kwh": carbon.kwh(one.joules.value),
        "gco2e": grams,
        "gco2e_sigma": grams * one.joules.sigma / one.joules.value if one.joules.value else 0.0,
    }
