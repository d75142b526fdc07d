"""Distillation of labelled tasks: the distribution of each head."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fxformer.distillation.loss import loss_of
from fxformer.distillation.terms import LogitTerm, SoftTargetTerm
from fxformer.errors import UserError
from tests.first_state import first_state
from tests.task.rows import PACKED, TASKS, setup_of


@pytest.mark.sample(3)
@pytest.mark.parametrize("task", TASKS)
def test_terms_of_a_task_are_the_same_however_rows_are_packed(tmp_path, task):
    """Of two models, and of one against itself; each label counts once."""
    if task == "regression":
        terms = {"values": LogitTerm()}
    else:
        terms = {"soft": SoftTargetTerm(temperature=2.0), "values": LogitTerm()}
    loss, found = loss_of(1.0, terms), []
    for words in ((), PACKED):
        setup = setup_of(tmp_path, task, *words)
        loss.check(setup.objective, setup.objective)
        found.append(_means(setup, loss, other=1))
        same = _means(setup, loss, other=0)
        assert same["values_loss"] == pytest.approx(0, abs=1e-9)
        assert same.get("soft_divergence", 0) == pytest.approx(0, abs=1e-6)
        if task == "classification":
            assert 0 < same["soft_loss"] <= 4 * np.log(2) + 1e-5
    for name, value in found[0].items():
        assert value == pytest.approx(found[1][name], rel=1e-4, abs=1e-6), name


def _means(setup, loss, other: int) -> dict[str, float]:
    """Means over the validation rows: student of seed 0, teacher of seed `other`."""
    states = [first_state(setup, n).params for n in (0, other)]

    @jax.jit
    def sums(batch, own, taught):
        student, teacher = (nnx.merge(setup.graphdef, one) for one in (own, taught))
        return loss(student, teacher, batch, key=None, projections={}, ratios=None)

    totals: dict[str, tuple] = {}
    batches = setup.data.valid(setup.corpus.batch)
    for n in range(len(batches)):
        new = sums(setup.put(setup.objective.corrupt(batches[n])), *states)
        totals = {k: tuple(map(jnp.add, v, totals.get(k, (0.0, 0.0)))) for k, v in new.items()}
    return {k: float(total / weight) for k, (total, weight) in totals.items() if k != "loss"}


def test_a_regression_has_no_soft_targets(tmp_path):
    objective = setup_of(tmp_path, "regression").objective
    with pytest.raises(UserError, match="distillation=values"):
        loss_of(1.0, {"soft": SoftTargetTerm()}).check(objective, objective)
