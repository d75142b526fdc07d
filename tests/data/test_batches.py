"""Which rows come when: a function of the seed and the number of the batch."""

import numpy as np
import pytest

from fxformer.data.documents import Documents
from fxformer.data.loader import InOrder, Shuffled
from fxformer.data.packing import Padded, Template


def packed(rows: int):
    documents = Documents(np.arange(1, rows + 1, dtype=np.int32), np.arange(rows + 1))
    return Padded()(documents, 1, Template(0, np.empty(0, int), np.empty(0, int)))


def test_a_batch_depends_on_seed_and_number_alone():
    a, b, other = (Shuffled(packed(50), 4, seed) for seed in (1, 1, 2))
    numbers = [37, 2, 37, 0, 11, 25]
    first = {n: a[n].tokens for n in sorted(numbers)}
    assert all((b[n].tokens == first[n]).all() for n in numbers)
    assert any((other[n].tokens != first[n]).any() for n in numbers)


def test_an_epoch_shows_each_row_once_and_epochs_differ():
    batches = Shuffled(packed(48), 4, 0)
    assert batches.steps_per_epoch == 12
    epochs = [np.concatenate([batches[12 * e + i].tokens for i in range(12)]) for e in range(3)]
    assert all(sorted(epoch.ravel()) == list(range(1, 49)) for epoch in epochs)
    assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()
    assert [batches[n].epoch for n in (0, 11, 12, 35)] == [0, 0, 1, 2]
    assert [batches.epoch(n) for n in (0, 11, 12, 35)] == [0, 0, 1, 2]


def test_rows_that_make_no_whole_batch_sit_out_but_not_the_same_ones():
    batches = Shuffled(packed(10), 4, 0)
    out = [
        set(range(1, 11)) - {int(t) for i in range(2) for t in batches[2 * e + i].tokens.ravel()}
        for e in range(4)
    ]
    assert all(len(rows) == 2 for rows in out) and len({tuple(sorted(r)) for r in out}) > 1


def test_evaluation_sees_every_row_once_and_pads_the_last_batch():
    batches = InOrder(packed(10), 4)
    rows = list(batches)
    assert len(batches) == batches.steps_per_epoch == len(rows) == 3
    assert np.concatenate([r.tokens for r in rows]).ravel().tolist() == [*range(1, 11), 0, 0]
    assert rows[-1].segments.ravel().tolist() == [1, 1, 0, 0]
    with pytest.raises(IndexError):
        batches[3]


def test_too_little_text_for_a_batch_says_so():
    with pytest.raises(ValueError, match="fills 3 rows of 1 tokens.*no batch of 8: data.batch=3"):
        Shuffled(packed(3), 8, 0)
