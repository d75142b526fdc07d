"""The cost of a search, told before: a few of its trials stand for all, and for the grid's."""

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

LOOKED = 8  # trials that are planned one by one; of more, so many drawn at random


class Ahead:
    """What `fxformer plan` calls with each config; of a search it is told first."""

    def __init__(self, planner: Planner):
        self.planner = planner
        self._study: Study | None = None
        self._last: DictConfig | None = None

    def __call__(self, cfg: DictConfig) -> None:
        """Plan one run."""
        self.planner(cfg)
        self._last = cfg

    def sample(self, study: Study, pure: bool) -> list[int]:
        """The slots to plan. pure: any slot's parameters are known beforehand."""
        self._study = study
        if study.total <= LOOKED:
            return list(range(study.total))
        if not pure:
            return list(range(LOOKED))
        drawn = np.random.default_rng(0).choice(study.total, LOOKED, replace=False)
        return sorted(int(slot) for slot in drawn)

    def close(self) -> None:
        """The sums."""
        study, found = self._study, self.planner.found
        if study is None or not found or self._last is None:
            return
        if study.total == len(found):
            self.planner.close()
        carbon, grid = build(self._last.energy).carbon, grid_size(study.space, RESOLUTION)
        sums = {}
        for name, number in (("search", study.total), ("grid", grid)):
            seconds = times([one.seconds for one in found], number)
            sums[name] = Sum(number, seconds, times([one.joules for one in found], number))
        if study.total > len(found) or grid != study.total:
            self._show(study, sums, carbon)
        if file := self._last.plan.json:
            path = Path(file).expanduser()
            body = json.loads(path.read_text(encoding="utf-8"))
            names = {"search": "search", "grid": "grid_search"}  # "grid" is that of the electricity
            body |= {names[name]: one.plain(carbon) for name, one in sums.items()}
            path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")

    def _show(self, study: Study, sums: dict[str, "Sum"], carbon: Carbon) -> None:
        console, seen = self.planner.console, len(self.planner.found)
        of = "" if seen == study.total else f", after {seen} of them"
        words = [
            f"{study.total} trials{of}: {sums['search'].words(carbon)}",
            f"the grid, {RESOLUTION} values of each interval, has {sums['grid'].trials:,}: "
            f"{sums['grid'].words(carbon)}",
        ]
        if study.budget_kwh is not None:
            paid = study.budget_kwh / carbon.kwh(sums["search"].joules.value) * study.total
            budget = formatting.si(1000 * study.budget_kwh, "Wh")
            words.append(f"the budget of {budget} pays for {min(int(paid), study.total)} of them")
        if study.pruner is not None:
            words.append("trials that are pruned will take less")
        body, width = Text("\n".join(words)), min(console.width, 100)
        console.print(Panel(body, title="the whole search", title_align="left", width=width))


@dataclasses.dataclass(frozen=True)
class Sum:
    """Of so many trials on one machine, one after the other."""

    trials: int
    seconds: Estimate
    joules: Estimate

    def words(self, carbon: Carbon) -> str:
        """Time, energy with its interval of 95 %, CO2e."""
        wh, *ends = (1000 * carbon.kwh(one) for one in (self.joules.value, *self.joules.interval))
        ends = f"95 %: {' – '.join(formatting.si(end, 'Wh') for end in ends)}"
        grams = formatting.si(self.gco2e(carbon), "g")
        seconds = formatting.duration(self.seconds.value)
        return f"{seconds}, {formatting.si(wh, 'Wh')} ({ends}), {grams} CO2e"

    def plain(self, carbon: Carbon) -> dict[str, float]:
        """For JSON."""
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
        """Grams, over the hours that it takes from now."""
        return carbon.kwh(self.joules.value) * carbon.mean_intensity(self.seconds.value)


def times(each: Sequence[Estimate], number: int) -> Estimate:
    """The sum over `number` trials of which `each` are known.

    Errors of the forecasts are one error and add up straight; that these few stand for all is an
    error of its own: none where they are all.
    """
    values = np.array([one.value for one in each])
    own = number * float(np.mean([one.sigma for one in each]))
    n = len(values)
    drawn = number * float(values.std(ddof=1)) / math.sqrt(n) if n > 1 and n != number else 0.0
    return Estimate(number * float(values.mean()), math.hypot(own, drawn))
