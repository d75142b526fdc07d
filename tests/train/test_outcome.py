"""What a run says at its end."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from fxformer.train.outcome import plateau


def setup(residual: str, batch: int, text: int = 1000):
    cfg = {"model": {"residual": {"_target_": f"fxformer.nn.residual.{residual}"}},
           "data": {"batch": batch, "length": 128}}  # fmt: skip
    facts = {"unigram_nats": 6.4, "valid": {"bytes": text}}
    return SimpleNamespace(data=SimpleNamespace(facts=facts), cfg=OmegaConf.create(cfg))


@pytest.mark.parametrize(
    "residual,batch,said,unsaid",
    [
        ("Post", 8, ("trainer.steps", "model/residual=pre", "data.batch"), ()),
        ("Pre", 8, ("trainer.steps", "data.batch"), ("model/residual",)),
        ("Post", 64, ("trainer.steps", "model/residual=pre"), ("data.batch",)),
    ],
)
def test_a_run_that_learned_frequencies_only_says_what_to_try(residual, batch, said, unsaid):
    lines = " ".join(words for _, words in plateau(setup(residual, batch), {"nll": 6.35}))
    assert all(word in lines for word in (*said, "experiment=mlm_stdlib"))
    assert not any(word in lines for word in unsaid)


def test_a_run_that_learned_more_says_nothing():
    assert plateau(setup("Post", 8), {"nll": 6.1, "loss": 6.35}) == []
    assert plateau(setup("Post", 8, text=0), {"nll": 6.4}) == []  # a made-up task
    assert plateau(setup("Post", 8), {"loss": 55.0}) == []  # not a likelihood of tokens
