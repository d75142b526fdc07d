"""`fxformer plan`: one forecast, or those of a sweep and their sum."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from fxformer.config.build import build
from fxformer.energy.carbon import Carbon
from fxformer.plan.forecast import Forecast, forecast
from fxformer.plan.table import show, show_sweep
from fxformer.train.compile import use_compile_cache


class Planner:
    """Called for each job; remembers what it found, so that a sweep has a sum."""

    def __init__(self, console: Console | None = None):
        self.console, self.found = console or Console(), []
        self._last: tuple[Carbon, Sequence[str]] | None = None

    def __call__(self, cfg: DictConfig) -> None:
        """Forecast, print, write."""
        if cfg.resume is not None:
            raise ValueError("resume: a plan is for a run from its beginning; leave it out")
        use_compile_cache(cfg.trainer.compile_cache)
        knobs, carbon = build(cfg.plan), build(cfg.energy).carbon
        words = "making real steps …" if knobs.calibrate else "building, nothing is trained …"
        with self.console.status(words):
            found = forecast(cfg, knobs)
        self.found.append(found)
        show(found, carbon, knobs.elsewhere, self.console)
        self._last = carbon, knobs.elsewhere
        self._write(carbon, knobs.json)

    def close(self) -> None:
        """The sum, where there were several."""
        if len(self.found) > 1:
            show_sweep(self.found, *self._last, self.console)

    def _write(self, carbon: Carbon, file: str | None) -> None:
        if file is None:
            return
        runs = [_plain(one, carbon) for one in self.found]
        total = {key: sum(run[key] for run in runs) for key in ("seconds", "kwh", "gco2e")}
        body = {"grid": carbon.facts(), "runs": runs, "total": total}
        Path(file).expanduser().write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def _plain(one: Forecast, carbon: Carbon) -> dict:
    """For JSON: sums as plain numbers, their standard deviations beside them."""
    body = dataclasses.asdict(one)
    return body | {
        "seconds": one.seconds.value,
        "seconds_sigma": one.seconds.sigma,
        "joules": one.joules.value,
        "joules_sigma": one.joules.sigma,
        "kwh": carbon.kwh(one.joules.value),
        "gco2e": carbon.gco2e(one.joules.value),
    }
