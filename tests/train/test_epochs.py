"""trainer.epochs: the number of steps follows from the rows, for tasks and for text alike."""

import pytest
from omegaconf import OmegaConf

from fxformer.cli.overrides import durations
from fxformer.train.config import in_steps
from fxformer.train.setup import set_up
from tests.composing import composed
from tests.task.rows import setup_of


@pytest.mark.parametrize(("epochs", "steps"), [(1, 10), (2.5, 25), (0.26, 3), (0.01, 1)])
def test_steps_are_epochs_times_whole_batches(epochs, steps):
    cfg = OmegaConf.create({"trainer": {"steps": 1000, "epochs": epochs}})
    assert in_steps(cfg, 10) == {"trainer": {"steps": steps, "epochs": None}}
    assert cfg.trainer.steps == 1000
    assert in_steps(cfg := OmegaConf.create({"trainer": {"steps": 7, "epochs": None}}), 10) is cfg


def test_a_task_trains_for_epochs_of_its_rows(tmp_path):
    setup = setup_of(tmp_path, "classification", "trainer.epochs=3", count=42)  # batches of 4
    assert setup.trainer.steps == setup.cfg.trainer.steps == 30
    batches = setup.data.train(setup.corpus.batch, 0)
    assert batches.epoch(29) == 2 and batches.epoch(30) == 3


def test_a_text_model_trains_for_epochs_of_its_rows():
    words = ("model=gpt2", "objective=clm", "model.dim=16", "model.heads=2", "data=markov",
             "tokenizer=none", "data.symbols=8", "data.examples=64", "data.length=16",
             "data.batch=8", "trainer.epochs=2")  # fmt: skip
    setup = set_up(composed(words))
    per_epoch = setup.data.train(8, 0).steps_per_epoch
    assert setup.trainer.steps == 2 * per_epoch != 1000


def test_epochs_and_steps_exclude_each_other():
    assert "give one of them" in durations(["trainer.epochs=2", "trainer.steps=10"])
    for words in (
        ["trainer.epochs=2"],
        ["trainer.steps=2"],
        ["trainer.epochs=null", "trainer.steps=2"],
    ):
        assert durations(words) == ""
