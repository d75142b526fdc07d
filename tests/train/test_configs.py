"""Every yaml of the groups that training owns names every knob and builds."""

import dataclasses
from pathlib import Path

import pytest
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf
from tiny_training import Parts

from fxformer.train.optim import Optimizer

FILES = [
    path
    for group in ("optimizer", "schedule", "trainer", "precision", "mesh")
    for path in sorted(Path("conf", group).glob("*.yaml"))
]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_knob_is_named_and_builds(path):
    config = OmegaConf.load(path)
    fields = {field.name for field in dataclasses.fields(get_object(config["_target_"]))}
    assert set(config) - {"_target_"} == fields
    instantiate(config)


def test_rules_can_be_written_in_yaml():
    config = OmegaConf.merge(
        OmegaConf.load("conf/optimizer/sgd.yaml"),
        OmegaConf.from_dotlist(
            ["decay=[[embedding,0]]", "multipliers=[[blocks/kernel,[1,0.5]]]", "freeze=[head]"]
        ),
    )
    optimizer: Optimizer = instantiate(config)
    toy = Parts()
    tx = optimizer.build(lambda count: 1.0, toy.state.params)
    tx.update(toy.state.params, tx.init(toy.state.params), toy.state.params)
