"""run.json and the terminal say which size option set the shape of the model."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from fxformer.config import folders
from fxformer.train.main import size_facts, size_line


@pytest.mark.parametrize(
    "overrides, published, line",
    [
        (["model=gpt2", "size=small"], "gpt2_small", "the published small of gpt2"),
        (["model=bert", "size=tiny"], None, "no size/published=bert_tiny"),
    ],
)
def test_facts_name_the_published_size_where_there_is_one(overrides, published, line, monkeypatch):
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        cfg = compose("train", overrides=overrides, return_hydra_config=True)
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: cfg.hydra)
    facts = size_facts(cfg)
    assert facts is not None and facts["published"] == published
    assert line in size_line(facts)


def test_a_model_from_a_checkpoint_has_no_size_option(monkeypatch):
    with initialize_config_dir(str(folders.conf_folder()), version_base="1.3"):
        cfg = compose("train", return_hydra_config=True)
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: cfg.hydra)
    cfg.warm_start = {"from": "runs/a"}
    assert size_facts(cfg) is None
