"""What conf/energy builds: a meter of whatever can be read here."""

from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fxformer.energy.config import AutoEnergy, TDPEnergy
from fxformer.energy.sensor import Unreadable, UnreadableError

CONF = Path(__file__).parents[2] / "conf" / "energy"


@pytest.mark.parametrize("name", ["auto", "tdp"])
def test_every_yaml_builds_and_counts(name):
    meter = instantiate(OmegaConf.load(CONF / f"{name}.yaml")).open(accelerators=[])
    with meter.phase("train"):
        sum(range(200_000))
    assert meter.close().joules > 0
    assert meter.assumptions or not meter.unreadable


def test_the_model_states_what_it_assumes():
    meter = TDPEnergy(cpu_tdp_watts=100).open(accelerators=["NVIDIA A100-SXM4-80GB", "TPU v3"])
    said = " ".join(meter.assumptions)
    assert "100 W /" in said and "TDP 400 W of A100" in said and "TDP 450 W of TPU v3" in said
    assert set(meter.totals().by("device")) >= {"cpu", "ram", "gpu:0", "tpu:1"}


def test_what_cannot_be_read_is_named_and_modelled(monkeypatch):
    def refuse(**_):
        raise UnreadableError(Unreadable("x", "not there", "buy one"))

    monkeypatch.setattr("fxformer.energy.config.RAPL", refuse)
    monkeypatch.setattr("fxformer.energy.config.open_gpus", refuse)
    meter = AutoEnergy().open(accelerators=["NVIDIA H100"])
    assert [str(u) for u in meter.unreadable] == ["x: not there; buy one"] * 2
    assert set(meter.totals().by("device")) == {"cpu", "ram", "gpu:0"}
    assert meter.totals().total.provenance == "modelled"


def test_gpus_the_run_does_not_use_are_not_asked(monkeypatch):
    def never(**_):
        raise AssertionError("asked")

    monkeypatch.setattr("fxformer.energy.config.open_gpus", never)
    AutoEnergy().open(accelerators=[]).close()
