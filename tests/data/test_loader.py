"""The loader: the same batches whoever makes them, and no fault goes unheard."""

import itertools
import threading
import time

import numpy as np
import pytest

from fxformer.batch import Batch
from fxformer.data.documents import Documents
from fxformer.data.loader import InOrder, Loader, Shuffled, check_batch
from fxformer.data.packing import Padded, Template


def packed(rows: int = 23):
    documents = Documents(np.arange(1, rows + 1, dtype=np.int32), np.arange(rows + 1))
    return Padded()(documents, 1, Template(0, np.empty(0, int), np.empty(0, int)))


def corrupt(rows) -> Batch:
    time.sleep(0.001 * (rows.tokens.sum() % 3))  # so that threads finish out of order
    return Batch(rows.tokens * 10 + rows.epoch, rows.segments)


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
@pytest.mark.parametrize("start", [0, 7])
def test_any_number_of_workers_and_any_start_give_the_same(workers, start):
    batches = Shuffled(packed(), 4, 5)
    with Loader(batches, corrupt, start=start, workers=workers, prefetch=3) as loader:
        got = list(itertools.islice(loader, 12))
    assert [n for n, _ in got] == list(range(start, start + 12))
    assert all((batch.tokens == corrupt(batches[n]).tokens).all() for n, batch in got)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_that_end_end(workers):
    with Loader(InOrder(packed(), 5), corrupt, workers=workers) as loader:
        assert [n for n, _ in loader] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_fault_surfaces_at_its_batch_and_threads_end(workers):
    def faulty(rows):
        if rows.tokens[0, 0] == 11:
            raise ValueError("row 11")
        return corrupt(rows)

    seen = []
    loader = Loader(InOrder(packed(), 5), faulty, workers=workers, prefetch=4)
    with pytest.raises(ValueError, match="row 11"), loader:
        for n, _ in loader:
            seen.append(n)
    assert seen == [0, 1]
    assert not [t for t in threading.enumerate() if t.name.startswith("loader")]


def test_waiting_is_measured():
    def slow(rows):
        time.sleep(0.02)
        return corrupt(rows)

    with Loader(InOrder(packed(), 5), slow, workers=0) as loader:
        list(loader)
    assert loader.waited > 0.1


@pytest.mark.parametrize("name", ["tokens", "targets", "source"])
@pytest.mark.parametrize("bad", [-1, 7])
def test_an_id_outside_the_vocabulary_is_named(name, bad):
    good = np.zeros((3, 4), np.int32)
    wrong = good.copy()
    wrong[1, 2] = bad
    check_batch(Batch(good, good, targets=good), 7)
    with pytest.raises(ValueError, match=f"{name} holds id {bad} in row 1, position 2.*has 7 ids"):
        check_batch(Batch(**{"tokens": good, "segments": good} | {name: wrong}), 7)
