"""trainer.metric and the objectives of a search are evaluated, and their directions are known."""

from types import SimpleNamespace

import jax.numpy as jnp
import pytest

from fxformer.errors import UserError
from fxformer.train.config import TrainerConfig
from fxformer.train.setup import check_metric


def setup(directions=None, **trainer):
    """As much of a setup as the check reads; the evaluation gives loss and fairness."""
    pair = (jnp.float32(1), jnp.float32(1))
    objective = SimpleNamespace(metric_names=("f1",), needs_lm_head=False)
    return SimpleNamespace(
        evaluate=lambda params, batch: ({"loss": pair, "fairness": pair}, None),
        abstract_state=SimpleNamespace(params={}),
        abstract_batch=jnp.zeros(1),
        data=SimpleNamespace(packed={"valid": None}),
        trainer=TrainerConfig(**trainer),
        objective=objective,
        directions=directions or {},
        generated=None,
    )


@pytest.mark.parametrize(
    ("trainer", "directions"),
    [
        ({}, {}),
        ({"metric": "f1"}, {}),
        ({"metric": "ema_f1", "ema": 0.9}, {}),
        ({"metric": "fairness", "direction": "maximize"}, {}),
        ({"metric": "fairness"}, {"fairness": True}),
    ],
)
def test_known(trainer, directions):
    check_metric(setup(directions, **trainer))


@pytest.mark.parametrize(
    ("trainer", "said"),
    [
        ({"metric": "f1s"}, "trainer.metric=f1s is not evaluated; did you mean 'f1'"),
        ({"metric": "fairness"}, "trainer.metric=fairness: it is not known whether a higher"),
    ],
)
def test_refused_before_training(trainer, said):
    with pytest.raises(UserError, match=said):
        check_metric(setup(**trainer))


def test_objectives_of_a_search():
    check_metric(setup(), ["f1", "loss"])
    check_metric(setup(metric="fairness", direction="maximize"), ["fairness"])
    check_metric(setup(), ["fairness"], maximize=[])
    with pytest.raises(UserError, match=r"write search.maximize=\[fairness\], or search.maximize="):
        check_metric(setup(), ["fairness"])
    with pytest.raises(UserError, match="search.objectives=fairness: its name does not say"):
        check_metric(setup({"fairness": True}), ["fairness"])  # a search knows names only
    with pytest.raises(UserError, match="search.objectives=lss is not evaluated"):
        check_metric(setup(), ["lss"])
