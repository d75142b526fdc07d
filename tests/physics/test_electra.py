"""ELECTRA on real text: both sides learn something that counting tokens does not give them."""

import numpy as np
import pytest
from scipy import special

from tests.physics.training import trained


@pytest.mark.slow
def test_generator_and_discriminator_beat_what_frequencies_give():
    run = trained(
        "objective=electra",
        "model=encoder",
        "size=tiny",
        "data=stdlib_docs",
        "tokenizer=char",
        "data.length=64",
        "objective.generator_size=0.5",
        "optimizer.lr=5e-3",
        "trainer.steps=600",
        "energy=tdp",
    )
    targets = np.concatenate([b.targets[b.weights > 0] for b in run.held_out()])
    counts = np.bincount(targets)
    entropy = special.entr(counts / counts.sum()).sum()  # the best that any one guess can do
    share = run.valid["replaced"]
    trivial = special.entr(share) + special.entr(1 - share)
    assert 0.1 < share < 0.15
    assert run.valid["nll"] < entropy - 0.2
    assert run.valid["discriminator_loss"] < trivial - 0.004
    assert run.valid["loss"] == pytest.approx(
        run.valid["nll"] + 50 * run.valid["discriminator_loss"], rel=1e-3
    )
