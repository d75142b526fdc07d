"""The plan of a search: a few of its trials stand for all, and for the grid."""

import io
import json
import types

import numpy as np
import pytest
from omegaconf import OmegaConf
from rich.console import Console

from fxformer.plan.forecast import Estimate
from fxformer.search import cost_forecast
from fxformer.search.cost_forecast import SAMPLED, SearchForecaster, scaled_sum
from tests.search.study_files import study, trial

KNOBS = {"energy": {"_target_": "fxformer.energy.config.TDPEnergy", "grid_gco2e_per_kwh": 100.0}}


class Planner:
    """Knows that a trial takes 3.6 MJ, 1 kWh."""

    def __init__(self):
        self.found, self.summed = [], False
        self.console = Console(width=100, record=True, file=io.StringIO())

    def __call__(self, cfg):
        one = Estimate(3.6e6, 0.36e6)
        self.found.append(types.SimpleNamespace(seconds=Estimate(60.0, 6.0), joules=one))

    def close(self):
        self.summed = True


def planned(tmp_path, total, pure=True, **facts):
    planner, file = Planner(), tmp_path / "plan.json"
    file.write_text("{}")
    cfg = OmegaConf.create(KNOBS | {"plan": {"json": str(file)}})
    of = SearchForecaster(planner)
    slots = of.sample(study(tmp_path, [trial(n) for n in range(total)], **facts), pure)
    for _ in slots:
        of(cfg)
    of.close()
    return slots, planner, json.loads(file.read_text())


def test_a_large_search_is_told_from_a_few_trials(tmp_path):
    slots, planner, found = planned(tmp_path, 30, budget_kwh=10.5)
    assert len(slots) == len(set(slots)) == SAMPLED and max(slots) < 30 and not planner.summed
    assert found["search"]["kwh"] == pytest.approx(30)
    grid = {key: found["grid_search"][key] for key in ("trials", "kwh", "gco2e", "joules_sigma")}
    assert grid == pytest.approx({
        "trials": 75, "kwh": 75, "gco2e": 7500, "joules_sigma": 75 * 0.36e6})  # fmt: skip
    text = planner.console.export_text()
    assert (
        "30 trials (extrapolated from 8): 30:00, 30.0 kWh (95 %: 24.7 kWh – 36.5 kWh), 3.00" in text
    )
    assert "5 values per interval, 75 trials: 1:15:00, 75.0 kWh" in text
    assert "the budget of 10.5 kWh covers 10 trials" in text


def test_a_small_search_is_told_whole(tmp_path):
    slots, planner, found = planned(tmp_path, 5)
    assert slots == list(range(5)) and planner.summed and found["search"]["trials"] == 5


def test_what_is_drawn_from_results_is_planned_from_its_beginning(tmp_path):
    assert planned(tmp_path, 30, pure=False)[0] == list(range(SAMPLED))


def test_one_run_is_a_plan_alone():
    planner = Planner()
    SearchForecaster(planner).close()
    assert not planner.summed


def test_the_interval_covers_the_sum():
    """Trials of 1, 2 or 3: the sum of 300 from 8 of them, one standard deviation: 68 %."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        cost = rng.integers(1, 4, 300)
        told = scaled_sum([Estimate(float(one), 0.0) for one in cost[:8]], 300)
        covered += abs(told.value - cost.sum()) <= told.sigma
    assert 0.55 < covered / 300 < 0.78  # 5 sigma about Student's 65 %
    assert scaled_sum([Estimate(2.0, 1.0)] * 3, 3) == Estimate(6.0, 3.0)
    assert cost_forecast.RESOLUTION == 5
