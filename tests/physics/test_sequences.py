"""Reverse and sort: right to the last symbol with positions, and hopeless without them."""

import numpy as np
import pytest

from fxformer.inference.decoding.greedy import generate_seq2seq
from tests.physics.training import Trained, trained

slow = pytest.mark.slow


@pytest.mark.parametrize("task", ["reverse", pytest.param("sort", marks=slow)])
def test_an_encoder_with_positions_labels_every_symbol(task):
    assert trained(f"experiment={task}").valid["accuracy"] >= 0.99


@pytest.mark.parametrize("task", ["reverse", pytest.param("sort", marks=slow)])
def test_an_encoder_without_positions_cannot(task):
    """Without positions equal symbols get equal labels: the best it can do is far below."""
    accuracy = trained(f"experiment={task}", "model/position=none").valid["accuracy"]
    assert accuracy < 0.6, "it knows where a symbol stands: from where?"


def wholly_right(run: Trained) -> float:
    """Share of the held-out sources that greedy decoding from the cache answers without a slip."""
    vocabulary = run.setup.objective.vocabulary

    def written(objective, batch):
        return generate_seq2seq(
            objective.model,
            batch.source,
            batch.source_segments,
            start=vocabulary.eos,
            length=batch.targets.shape[1],
            eos=vocabulary.eos,
            pad=vocabulary.pad,
        )

    right = []
    for batch, answer in run.ask(written):
        same = (answer == batch.targets) | (batch.weights == 0)
        right.append(same.all(1)[batch.weights.any(1)])
    return float(np.concatenate(right).mean())


@slow
@pytest.mark.parametrize("task", ["reverse", "sort"])
def test_a_seq2seq_model_writes_the_whole_answer(task):
    run = trained(f"experiment={task}_seq2seq")
    assert run.valid["accuracy"] >= 0.99
    assert wholly_right(run) >= 0.97  # 0.99 of the symbols alone would be 0.91
