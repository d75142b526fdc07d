"""A plan says what a run will be: exactly where arithmetic decides, else with an interval."""

import io
import json
import math

import jax
import numpy as np
import pytest
from rich.console import Console
from shell import DECODER, called, facts, lines, only

from fxformer.batch import Batch
from fxformer.energy.carbon import Carbon
from fxformer.energy.config import TDPEnergy
from fxformer.flops.jaxpr_flops import executed_flops
from fxformer.flops.training import training_flops
from fxformer.plan.forecast import Estimate, Forecast, PlanConfig, _sum_sigma, _within
from fxformer.plan.table import show, start_times
from tests.physics.training import ready

QUICK = (*DECODER, "trainer.steps=6", "trainer.eval_every=3", "energy.grid_gco2e_per_kwh=100")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a run is planned, then made."""
    return tmp_path_factory.mktemp("plan")


@pytest.fixture(scope="module")
def planned(folder):
    """A calibrated plan, as JSON."""
    words = ("plan.calibrate=true", "plan.seconds=0.2", "plan.json=plan.json")
    code, _, err = called("plan", *QUICK, *words, folder=folder)
    assert code == 0, err
    return json.loads((folder / "plan.json").read_text())


@pytest.mark.sample(2)
def test_the_run_is_what_was_planned(folder, planned):
    code, _, err = called("train", *QUICK, folder=folder)
    assert code == 0, err
    (one,), run = planned["runs"], only(folder)
    assert one["parameters"] == facts(run)["parameters"]
    assert sum(one["parts"].values()) == one["parameters"]
    assert one["flops_per_token"] == facts(run)["flops_per_token"]
    last = [line for line in lines(run) if line["split"] == "train"][-1]
    assert one["tokens"] == pytest.approx(last["tokens"], rel=0.02)
    assert one["executed"] > one["flops_per_token"]  # a decoder's hidden pairs
    assert one["flops"] == pytest.approx(one["tokens"] * one["flops_per_token"])
    assert one["memory"] > 4 * 4 * one["parameters"]  # state and gradient, float32


def test_a_plan_adds_up(planned):
    (one,) = planned["runs"]
    assert one["seconds"] > 0 and 0 < one["seconds_sigma"] < one["seconds"]
    assert one["kwh"] == pytest.approx(one["joules"] / 3.6e6)
    assert one["gco2e"] == pytest.approx(100 * one["kwh"])
    assert "real steps" in one["method"] and "modelled" in one["method"]
    assert 0 < one["mfu"] < 1
    assert 0 < one["once_seconds"] < one["seconds"] and 0 < one["once_joules"] < one["joules"]
    low, high = one["joules_interval"]
    assert 0 < low < one["joules"] < high


def test_an_interval_holds_95_percent_of_what_is_uncertain_by_a_factor():
    spread = Estimate(100.0, 80.0)
    low, high = spread.interval
    width = math.sqrt(math.log1p(0.8**2))
    drawn = 100 * np.exp(np.random.default_rng(0).normal(0, width, 20_000))
    assert np.mean((low <= drawn) & (drawn <= high)) == pytest.approx(0.95, abs=0.006)
    assert low * high == pytest.approx(100.0**2) and Estimate(0.0, 0.0).interval == (0.0, 0.0)


def test_errors_of_parts_are_weighed_by_the_parts():
    assert _sum_sigma(30.0, 0.5, 40.0, 0.5) == pytest.approx(25 / 70)
    assert _sum_sigma(0.0, 0.5, 40.0, 0.7) == 0.7 and _sum_sigma(0.0, 1.0, 0.0, 1.0) == 0.0


@pytest.mark.slow
def test_a_sweep_is_the_sum_of_its_runs(folder):
    code, out, err = called(
        "plan", "-m", "model.layers=1,2", *QUICK, "plan.compile=false", "plan.json=sweep.json",
        folder=folder,
    )  # fmt: skip
    assert code == 0, err
    found = json.loads((folder / "sweep.json").read_text())
    small, large = found["runs"]
    assert small["parameters"] < large["parameters"] and small["memory"] is None
    for key in ("seconds", "kwh", "gco2e"):
        assert found["total"][key] == pytest.approx(small[key] + large[key])
    assert "2 runs, one after the other" in out
    assert not list(folder.glob("runs/.sweeps/*/*/run.json"))  # nothing was trained


def test_what_train_refuses_is_refused(folder):
    code, _, err = called("plan", *QUICK, "model.dim=15", folder=folder)
    assert code == 2 and "15" in err
    code, _, err = called("plan", *QUICK, "plan.regions=[FRAA]", folder=folder)
    assert code == 2 and "FRA (France)" in err


def test_a_budget_cuts_a_plan_short():
    energy = TDPEnergy(grid_gco2e_per_kwh=500.0, budget_kwh=0.01)
    seconds, words = _within(energy, None, 7200, watts=100)  # 0.2 kWh
    assert seconds == pytest.approx(360) and "energy.budget_kwh ends it after about 5%" in words
    assert _within(energy, 1.0, 7200, watts=100)[1].startswith("trainer.budget_minutes")
    assert _within(energy, None, 300, watts=100) == (300, None)


def test_errors_of_runs_on_one_machine_add_up_straight():
    assert Estimate(1, 0.5) + Estimate(2, 0.25) == Estimate(3, 0.75)


def test_a_region_that_is_unknown_is_refused():
    with pytest.raises(ValueError, match="FRA"):
        PlanConfig(regions=["FRANCE-X"])


@pytest.mark.parametrize(
    "words",
    [
        ("model=encoder", "objective=mlm"),
        ("model=decoder", "objective=clm"),
        pytest.param(("model=seq2seq", "objective=denoise"), marks=pytest.mark.slow),
        pytest.param(("model=electra", "objective=electra"), marks=pytest.mark.slow),
        pytest.param(("model=prophetnet", "objective=prophetnet"), marks=pytest.mark.slow),
    ],
)
@pytest.mark.sample(2)
def test_flops_are_those_of_the_compilers_own_analysis(words):
    """Of the lowered gradient, layers laid out and the loss in one chunk (it counts the body of a
    loop once); what it has beyond matrix products is a few operations a number: under 2 % here."""
    setup = ready(
        *words, "data=markov", "data.symbols=512", "tokenizer=none", "model.dim=1024",
        "model.heads=8", "model.ffn.hidden=4096", "model.layers=2", "model.dropout=0",
        "objective.loss.chunk=100000", "data.length=64", "data.batch=4",
        "data.example_length=64",
    )  # fmt: skip
    size = setup.example_batch.segments.shape
    whole = np.ones(size, np.int32)
    given: Batch = setup.example_batch.replace(segments=whole)
    if given.source is not None:
        given = given.replace(source=whole, source_segments=whole)

    def gradient(params, batch):
        return jax.grad(lambda p: setup.objective_with(p)(batch)["loss"][0])(params)

    scored = given.replace(weights=np.ones_like(given.weights))
    theirs = jax.jit(gradient).lower(setup.abstract_state.params, scored).cost_analysis()["flops"]
    done = executed_flops(gradient, setup.abstract_state.params, scored)
    assert 0.98 < done / theirs <= 1.0
    ours = sum(training_flops(*one) for one in setup.objective.passes(scored))
    if "objective=electra" in words:  # what the generator draws with is computed a second time
        ours += 2 * scored.weights.size * setup.objective.model.token_embedding.embedding.size
    assert 0.98 < ours / theirs <= 1.0


def test_the_best_start_on_an_hourly_grid(tmp_path):
    """A two-hour run on a grid that is clean from 3 to 5 o'clock."""
    rows = [f"{hour},{50 if hour in (3, 4) else 400}" for hour in range(24)]
    (tmp_path / "day.csv").write_text("\n".join(["hour,gCO2e/kWh", *rows]))
    carbon = Carbon(grid_hourly=str(tmp_path / "day.csv"), grid_timezone="UTC")
    now, *later = start_times(carbon, 2 * 3600, now=19.25 * 3600)
    best = min(later, key=lambda one: one.gco2e_per_kwh)
    assert now.gco2e_per_kwh == pytest.approx(400) and len(later) == 24
    assert best.seconds == 27 * 3600 and best.gco2e_per_kwh == pytest.approx(50)
    out = io.StringIO()
    run = Forecast(1, {}, 1.0, 1.0, 1.0, 1.0, None, Estimate(7200, 700), Estimate(3.6e6, 1.8e6),
                   None, "assumed", 1, None)  # fmt: skip
    show(run, carbon, ["FRA"], Console(file=out, width=100))
    assert "started now:" in out.getvalue() and "50 g/kWh" in out.getvalue()


def test_the_same_run_in_another_region_with_its_interval():
    out = io.StringIO()
    run = Forecast(1, {}, 1.0, 1.0, 1.0, 1.0, None, Estimate(60, 6), Estimate(3.6e6, 1.8e6), None,
                   "assumed", 1, None)  # fmt: skip
    show(run, Carbon(grid_gco2e_per_kwh=400), ["FRA"], Console(file=out, width=100))
    (row,) = [line for line in out.getvalue().splitlines() if "France" in line]
    assert "56.0 g  (95 %: 22.2 g – 141 g)" in row and "-86%" in row
