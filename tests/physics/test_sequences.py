"""Reverse and sort: right to the last symbol with positions, and hopeless without them."""

import numpy as np
import pytest

from fxformer.inference.decoding.generate import generate
from fxformer.inference.decoding.samples import greedy_settings
from tests.physics.training import Trained, trained

slow = pytest.mark.slow


@slow
@pytest.mark.parametrize("task", ["reverse", "sort"])
def test_an_encoder_with_positions_labels_every_symbol(task):
    assert trained(f"experiment={task}").valid["accuracy"] >= 0.99


@slow
@pytest.mark.parametrize("task", ["reverse", "sort"])
def test_an_encoder_without_positions_cannot(task):
    """Without positions equal symbols get equal labels: the best it can do is far below."""
    accuracy = trained(f"experiment={task}", "model/position=none").valid["accuracy"]
    assert accuracy < 0.6, "it knows where a symbol stands: from where?"


def wholly_right(run: Trained) -> float:
    """Share of the held-out sources that greedy decoding from the cache answers without a slip."""
    objective, right = run.setup.objective_with(run.state.params), []
    vocabulary = objective.vocabulary
    for batch in run.held_out():
        settings = greedy_settings(vocabulary, max_new_tokens=batch.targets.shape[1])
        given = {"source": batch.source, "source_segments": batch.source_segments}
        start = np.full((len(batch.tokens), 1), vocabulary.eos, np.int32)
        found = generate(objective.model, settings, prompt=start, **given).sequences
        same = (found == batch.targets) | (batch.weights == 0)
        right.append(same.all(1)[batch.weights.any(1)])
    return float(np.concatenate(right).mean())


@slow
@pytest.mark.parametrize("task", ["reverse", "sort"])
def test_a_seq2seq_model_writes_the_whole_answer(task):
    run = trained(f"experiment={task}_seq2seq")
    assert run.valid["accuracy"] >= 0.99
    assert wholly_right(run) >= 0.97  # 0.99 of the symbols alone would be 0.91
