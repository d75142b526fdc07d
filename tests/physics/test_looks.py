"""Where a trained model looks: a copier's decoder at the same place, a reverser's mirrored."""

import numpy as np
import pytest

from tests.physics.training import trained

SYMBOLS = 8  # of a source, of which the first seven are asked about


@pytest.mark.slow
@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_cross_attention_lies_along_the_answer(task):
    """To write symbol t a head looks at its place in the source, or right beside it: at 8 places
    and eos, 3 of 9 would be a third of the weight."""
    run = trained("experiment=reverse_seq2seq", f"data={task}", "data.batch=64")
    assert run.valid["accuracy"] > 0.98

    def cross_attention(objective, batch):
        return objective.model.intermediates(batch)[1].cross_attention[0]

    looks = run.ask(cross_attention)
    weights = np.concatenate([cross[:, :, :SYMBOLS] for _, cross in looks])  # [N H T S]
    at = np.arange(SYMBOLS - 1)
    place = at if task == "copy" else SYMBOLS - 1 - at
    near = np.abs(np.arange(weights.shape[-1])[None] - place[:, None]) <= 1  # [T S]
    share = (weights[:, :, at] * near).sum(-1).mean((0, 2))  # by head
    assert share.max() > 0.75, share
    mirrored = (weights[:, :, at] * near[::-1]).sum(-1).mean((0, 2))
    assert mirrored.max() < 0.5, mirrored
