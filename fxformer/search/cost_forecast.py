"""Forecast of the cost of a search from the plans of a sample of its trials."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.panel import Panel
from rich.text import Text

from fxformer.config.build import build
from fxformer.energy.carbon import Carbon
from fxformer.plan.forecast import Estimate
from fxformer.plan.main import Planner
from fxformer.search.cost import RESOLUTION, grid_size
from fxformer.search.study import Study
from fxformer.track import formatting

SAMPLED = 8  # trials that are planned; of a larger search a random sample


class SearchForecaster:
    """Job of `fxformer plan -m`: plans a sample of the trials, and forecasts the whole search."""

    def __init__(self, planner: Planner):
        self.planner = planner
        self._study: Study | None = None
        self._last: DictConfig | None = None

    def __call__(self, cfg: DictConfig) -> None:
        """Plan one run."""
        self.planner(cfg)
        self._last = cfg

    def sample(self, study: Study, pure: bool) -> list[int]:
        """The slots to plan.

        pure: whether the parameters of any slot are known in advance
        """
        self._study = study
        if study.total <= SAMPLED:
            return list(range(study.total))
        if not pure:
            return list(range(SAMPLED))
        slots = np.random.default_rng(0).choice(study.total, SAMPLED, replace=False)
        return sorted(int(slot) for slot in slots)

    def close(self) -> None:
        """Print the forecast of the search and of the grid, and add it to plan.json."""
        study, found = self._study, self.planner.found
        if study is None or not found or self._last is None:
            return
        if study.total == len(found):
            self.planner.close()
        carbon, grid = build(self._last.energy).carbon, grid_size(study.space, RESOLUTION)
        sums = {}
        for name, number in (("search", study.total), ("grid", grid)):
            seconds = scaled_sum([one.seconds for one in found], number)
            sums[name] = TotalForecast(
                number, seconds, scaled_sum([one.joules for one in found], number)
            )
        if study.total > len(found) or grid != study.total:
            self._show(study, sums, carbon)
        if file := self._last.plan.json:
            path = Path(file).expanduser()
            body = json.loads(path.read_text(encoding="utf-8"))
            names = {"search": "search", "grid": "grid_search"}  # "grid" is the electricity grid
            body |= {names[name]: one.to_json(carbon) for name, one in sums.items()}
            path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")

    def _show(self, study: Study, sums: dict[str, "TotalForecast"], carbon: Carbon) -> None:
        console, planned = self.planner.console, len(self.planner.found)
        of = "" if planned == study.total else f" (extrapolated from {planned})"
        lines = [
            f"{formatting.plural(study.total, 'trial')}{of}: {sums['search'].describe(carbon)}",
            f"grid with {RESOLUTION} values per interval, {sums['grid'].trials:,} trials: "
            f"{sums['grid'].describe(carbon)}",
        ]
        if study.budget_kwh is not None:
            affordable = study.budget_kwh / carbon.kwh(sums["search"].joules.value) * study.total
            budget = formatting.si(1000 * study.budget_kwh, "Wh")
            count = formatting.plural(min(int(affordable), study.total), "trial")
            lines.append(f"the budget of {budget} covers {count}")
        if study.pruner is not None:
            lines.append("pruned trials will use less")
        body, width = Text("\n".join(lines)), min(console.width, 100)
        console.print(Panel(body, title="forecast of the search", title_align="left", width=width))


@dataclasses.dataclass(frozen=True)
class TotalForecast:
    """Forecast for a number of trials, run sequentially on one machine."""

    trials: int
    seconds: Estimate
    joules: Estimate

    def describe(self, carbon: Carbon) -> str:
        """Time, energy with its 95 % interval, and CO2e, as text."""
        wh, *ends = (1000 * carbon.kwh(one) for one in (self.joules.value, *self.joules.interval))
        ends = f"95 %: {' – '.join(formatting.si(end, 'Wh') for end in ends)}"
        grams = formatting.si(self.gco2e(carbon), "g")
        seconds = formatting.duration(self.seconds.value)
        return f"{seconds}, {formatting.si(wh, 'Wh')} ({ends}), {grams} CO2e"

    def to_json(self, carbon: Carbon) -> dict[str, float | tuple[float, float]]:
        """Plain values."""
        return {
            "trials": self.trials,
            "seconds": self.seconds.value,
            "seconds_sigma": self.seconds.sigma,
            "joules": self.joules.value,
            "joules_sigma": self.joules.sigma,
            "joules_interval": self.joules.interval,
            "kwh": carbon.kwh(self.joules.value),
            "gco2e": self.gco2e(carbon),
        }

    def gco2e(self, carbon: Carbon) -> float:
        """Grams of CO2e, by the carbon intensity of the coming hours."""
        return carbon.kwh(self.joules.value) * carbon.mean_intensity(self.seconds.value)


def scaled_sum(each: Sequence[Estimate], number: int) -> Estimate:
    """The sum over `number` trials, of which the forecasts `each` are a sample.

    Errors of the forecasts are correlated and add up linearly; the sampling error is added in
    quadrature, and is zero where all trials are known.
    """
    values = np.array([one.value for one in each])
    forecast_error = number * float(np.mean([one.sigma for one in each]))
    n = len(values)
    sampling_error = (
        number * float(values.std(ddof=1)) / math.sqrt(n) if n > 1 and n != number else 0.0
    )
    return Estimate(number * float(values.mean()), math.hypot(forecast_error, sampling_error))
