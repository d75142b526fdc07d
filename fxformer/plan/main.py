"""`fxformer plan`: the forecast of a run, or of each run of a sweep and their sum."""

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
from fxformer.plan.table import add_forecasts, show, show_sweep, start_times
from fxformer.train.compile import use_compile_cache


class Planner:
    """Called for each job of a sweep; keeps the forecasts for their sum."""

    def __init__(self, console: Console | None = None):
        self.console, self.found = console or Console(), []
        self._last: tuple[Carbon, Sequence[str]] | None = None

    def __call__(self, cfg: DictConfig) -> None:
        """Forecast, print, write."""
        if cfg.resume is not None:
            raise UserError("resume: a plan is for a run from its first step; leave it out")
        use_compile_cache(cfg.trainer.compile_cache)
        options, carbon = build(cfg.plan), build(cfg.energy).carbon
        words = "making real steps …" if options.calibrate else "building the run …"
        with self.console.status(words):
            found = forecast(cfg, options)
        carbon.warn_of_default()
        self.found.append(found)
        show(found, carbon, options.regions, self.console)
        self._last = carbon, options.regions
        self._write(carbon, options.regions, options.json)

    def close(self) -> None:
        """Print the sum, where there were several."""
        if len(self.found) > 1 and self._last is not None:
            show_sweep(self.found, *self._last, self.console)

    def _write(self, carbon: Carbon, regions: Sequence[str], file: str | None) -> None:
        if file is None:
            return
        runs = [_to_json(one, carbon) for one in self.found]
        total = {key: sum(run[key] for run in runs) for key in ("seconds", "kwh", "gco2e")}
        seconds, joules = add_forecasts(self.found)
        total |= {"joules": joules.value, "joules_sigma": joules.sigma}
        total["seconds_sigma"] = seconds.sigma
        body = {"grid": carbon.assumptions(), "runs": runs, "total": total}
        body["other_regions"] = {
            code: _in_region(joules.value, seconds.value, carbon, code) for code in regions
        }
        if carbon.hourly is not None:
            body["start_times"] = [one.to_json() for one in start_times(carbon, seconds.value)]
        Path(file).expanduser().write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def _in_region(joules: float, seconds: float, carbon: Carbon, code: str) -> dict:
    """JSON of the same joules in another region."""
    here, there = carbon.mean_intensity(seconds), find_region(code)
    grams = carbon.kwh(joules) * there.gco2e_per_kwh
    change = there.gco2e_per_kwh / here - 1 if here else None
    return dataclasses.asdict(there) | {"gco2e": grams, "relative_difference": change}


def _to_json(one: Forecast, carbon: Carbon) -> dict:
    """JSON of a forecast: estimates as numbers, with their standard deviations as `*_sigma`."""
    body = dataclasses.asdict(one)
    grams = carbon.kwh(one.joules.value) * carbon.mean_intensity(one.seconds.value)
    return body | {
        "cluster": one.cluster and one.cluster.to_json(),
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
