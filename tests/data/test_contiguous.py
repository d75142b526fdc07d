"""Rows that continue each other: nothing of the stream is lost, for any lanes, seed and workers."""

import numpy as np
import pytest

from fxformer.data import contiguous
from fxformer.data.contiguous import Contiguous, ContinuedBatches, ContinuedPass
from fxformer.data.documents import Documents, join
from fxformer.data.loader import Loader
from fxformer.data.packing import Template
from fxformer.errors import UserError

EOS, FIRST = 3, 10
NONE = np.empty(0, int)


def documents(sizes) -> Documents:
    """Documents in which every token is unique, from FIRST on."""
    _, bounds = join([np.zeros(size, int) for size in sizes])
    return Documents(np.arange(FIRST, FIRST + bounds[-1], dtype=np.int32), bounds)


def packed(sizes, length=9, eos: int | None = EOS):
    return Contiguous(memory=4)(documents(sizes), length, Template(0, NONE, NONE, eos=eos))


SIZES = (5, 1, 40, 0, 7, 23, 2, 60, 11, 30, 0, 3, 19)


def steps_of(rows):
    """(token, next token) of each scored place, as `CausalLM` scores them."""
    inside = (rows.segments[:, 1:] == rows.segments[:, :-1]) & (rows.segments[:, 1:] > 0)
    return list(zip(rows.tokens[:, :-1][inside], rows.tokens[:, 1:][inside], strict=True))


def wanted(texts: Documents, eos: int | None):
    """Every token with the one that follows it in its document."""
    ends = [] if eos is None else [eos]
    each = [
        [*texts.tokens[a:b], *ends] for a, b in zip(texts.bounds, texts.bounds[1:], strict=False)
    ]
    return sorted(pair for one in each for pair in zip(one, one[1:], strict=False))


@pytest.mark.parametrize(("batch", "length"), [(1, 9), (3, 9), (4, 5), (7, 12), (12, 3)])
@pytest.mark.parametrize("eos", [EOS, None])
def test_an_epoch_predicts_every_token_once(batch, length, eos, monkeypatch):
    made = packed(SIZES, length, eos)
    for groups in (1 << 16, 4):  # each document by itself, and several together
        monkeypatch.setattr(contiguous, "GROUPS", groups)
        batches = ContinuedBatches(made, batch, seed=5)
        for epoch in (0, 1):
            first = epoch * batches.steps_per_epoch
            rows = [batches[n] for n in range(first, first + batches.steps_per_epoch)]
            assert sorted(p for one in rows for p in steps_of(one)) == wanted(documents(SIZES), eos)
            assert {one.epoch for one in rows} == {epoch}
    one_pass = ContinuedPass(made, batch, None)
    found = [pair for n in range(len(one_pass)) for pair in steps_of(one_pass[n])]
    assert sorted(found) == wanted(documents(SIZES), eos)


def test_a_row_continues_the_row_of_the_batch_before():
    batches = ContinuedBatches(packed(SIZES), 3, seed=1)
    for n in range(batches.steps_per_epoch - 1):
        one, other = batches[n], batches[n + 1]
        goes_on = other.segments[:, 0] > 0
        assert (one.tokens[goes_on, -1] == other.tokens[goes_on, 0]).all()
        assert (one.positions[goes_on, -1] == other.positions[goes_on, 0]).all()
        same = goes_on & (other.positions[:, 0] > 0)
        assert (one.examples[same, -2] == other.examples[same, 0]).all()
    begun = batches[batches.steps_per_epoch]  # lanes of the next epoch begin with nothing before
    assert (begun.positions[:, 0] == 0).all() and (batches[0].positions[:, 0] == 0).all()


def test_positions_and_segments_tell_documents_apart():
    rows = packed((4, 3, 8), length=18).rows(np.array([0, -1]))
    assert rows.positions[0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, *range(9)]
    assert rows.segments[0].tolist() == [1] * 5 + [2] * 4 + [3] * 9
    assert rows.tokens[0, [4, 8, 17]].tolist() == [EOS] * 3
    assert (rows.segments[1] == 0).all() and (rows.examples[1] == -1).all()


def test_seed_and_epoch_order_the_documents_and_a_batch_is_a_function_of_them():
    made = packed(SIZES)
    one, again, other = (ContinuedBatches(made, 3, seed) for seed in (1, 1, 2))
    assert all((one[n].tokens == again[n].tokens).all() for n in (4, 0, 9))
    assert (one[0].tokens != other[0].tokens).any()
    assert (one[0].tokens != one[one.steps_per_epoch].tokens).any()
    own = np.array([0, 2])
    part = ContinuedBatches(made, 3, 1, own)
    assert (part[3].tokens == one[3].tokens[own]).all()
    assert (part[3].positions == one[3].positions[own]).all()


def test_the_number_of_workers_changes_nothing():
    made = packed(SIZES)

    def read(workers):
        batches = ContinuedBatches(made, 3, seed=1)
        with Loader(batches, lambda rows: rows, start=2, stop=14, workers=workers) as loader:
            return np.stack([rows.tokens for _, rows in loader])

    first = read(0)
    assert (read(1) == first).all() and (read(2) == first).all()


def test_too_little_text_and_examples_are_refused():
    with pytest.raises(UserError, match="no batch of 64: data.batch="):
        ContinuedBatches(packed(SIZES), 64, 0)
    scored = Documents(np.arange(5, dtype=np.int32), np.array([0, 5]), scored=np.ones(5, bool))
    with pytest.raises(UserError, match="would cut examples"):
        Contiguous()(scored, 9, Template(0, NONE, NONE))
    coded = Documents(np.arange(5, dtype=np.int32), np.array([0, 5]), codes=np.zeros(1, int))
    with pytest.raises(UserError, match="control codes"):
        Contiguous()(coded, 9, Template(0, NONE, NONE))


def test_facts_say_what_is_in_the_stream():
    facts = packed(SIZES).facts()
    assert facts["tokens_in"] == facts["tokens_used"] == sum(SIZES) and facts["memory"] == 4
    assert facts["pieces"] == len(SIZES) and facts["rows"] == -(-(sum(SIZES) + len(SIZES)) // 8)
    assert 0 <= facts["padding_share"] < 8 / sum(SIZES)
