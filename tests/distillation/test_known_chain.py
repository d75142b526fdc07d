"""A student that learns of its teacher alone reaches the teacher's distribution."""

import jax
import numpy as np
import pytest

from tests.distillation.pairs import pair, warm_started
from tests.physics.training import train

STUDENT = (
    "model.dim=32", "model.layers=2", "model.heads=2", "model.ffn.hidden=64", "model.dropout=0",
    "optimizer=adamw", "optimizer.lr=1e-2", "optimizer.weight_decay=0",
    "schedule=cosine", "data.batch=32", "data.examples=4096",
    "distillation.terms.soft.temperature=1",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_a_student_reaches_the_distribution_of_its_teacher(family):
    """KL of held-out text, of a student of another shape that never sees a true target; without
    the teacher's terms it stays where the data lead it."""
    words = STUDENT
    learned = [_divergence(family, hard, *words) for hard in (0, 1)]
    assert learned[0] < 1e-2, learned
    assert learned[1] > 100 * learned[0], learned


def _divergence(family: str, hard: int, *words: str) -> float:
    """Mean KL of the validation batches after 2000 steps. hard: 1: the true targets alone"""
    soft = "distillation.terms.soft.weight=" + ("1e-9" if hard else "1")
    setup = pair(
        family,
        *words,
        f"distillation.hard={hard}",
        soft,
        "trainer.steps=2000",
        student=f"model={family}",
        how="soft",
    )
    ended = train(setup, warm_started(setup))
    found, weights = 0.0, 0.0
    loss, taught = setup.teacher.loss, setup.teacher.params

    def ask(student, batch):
        teacher = setup.teacher.bound(jax.tree.map(jax.numpy.asarray, taught))
        return loss(student, teacher, batch, key=None, projections={}, ratios=None)

    for _, sums in ended.ask(ask):
        found += float(np.asarray(sums["soft_divergence"][0]))
        weights += float(np.asarray(sums["soft_divergence"][1]))
    return found / weights
