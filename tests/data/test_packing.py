"""Packing loses nothing, invents nothing, and keeps texts apart."""

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxformer.batch import Limit
from fxformer.data.documents import Documents, join
from fxformer.data.packing import Blocks, Padded, Segments, Template
from fxformer.data.packing_index import best_fit
from fxformer.data.packing_pairs import Paired, PairedSegments, Prompted

PAD, BOS, EOS = 0, 2, 3
FRAME = Template(PAD, np.array([BOS]), np.array([EOS]), BOS, EOS)
BARE = Template(PAD, np.empty(0, int), np.empty(0, int))


def numbered(sizes) -> Documents:
    """Documents in which every token is unique, from 10 on."""
    _, bounds = join([np.zeros(size, int) for size in sizes])
    return Documents(np.arange(10, 10 + bounds[-1], dtype=np.int32), bounds)


def all_rows(packed):
    return packed.rows(np.arange(len(packed)))


sizes = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any)


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(3, 17), st.integers(1, 9), st.booleans())
def test_every_token_is_used_exactly_once(sizes, length, window, with_control_code):
    documents = numbered(sizes)
    for packing in (Segments(window), Padded(), Blocks()):
        packed = packing(documents, length, FRAME if with_control_code else BARE)
        rows, facts = all_rows(packed), packed.facts()
        text = rows.tokens[rows.tokens >= 10]
        assert sorted(text) == documents.tokens.tolist()
        assert facts["tokens_in"] == facts["tokens_used"] + facts["tokens_dropped"] == sum(sizes)
        assert facts["tokens_used"] == len(text)
        assert facts["padding_share"] == pytest.approx((rows.segments == 0).mean(), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(3, 17), st.integers(1, 9))
def test_a_segment_is_one_piece_of_one_document_in_its_template(sizes, length, window):
    documents = numbered(sizes)
    rows = all_rows(Segments(window)(documents, length, FRAME))
    seen = set()
    for tokens, segments, examples in zip(rows.tokens, rows.segments, rows.examples, strict=True):
        used = segments > 0
        assert (np.diff(used.astype(int)) <= 0).all()  # padding only at the end
        assert (tokens[~used] == PAD).all() and (examples[~used] == -1).all()
        assert sorted(set(segments[used])) == list(range(1, segments.max() + 1))
        for number in range(1, segments.max() + 1):
            piece = tokens[segments == number]
            assert piece[0] == BOS and piece[-1] == EOS
            assert (np.diff(piece[1:-1]) == 1).all()
            owner = np.searchsorted(documents.bounds, piece[1:-1] - 10, side="right")
            assert len(set(owner)) == 1
            (example,) = set(examples[segments == number])
            assert example not in seen
            seen.add(example)
    assert seen == set(range(len(seen)))


def test_rows_do_not_depend_on_the_company_they_are_asked_in():
    packed = Segments()(numbered([5, 3, 30, 1, 8, 2]), 9, FRAME)
    rows = all_rows(packed)
    for which in ([3, 0, 3], [-1, 2]):
        some = packed.rows(np.array(which))
        for i, number in enumerate(which):
            expected = rows.tokens[number] if number >= 0 else np.full(9, PAD)
            assert (some.tokens[i] == expected).all()


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60))
def test_best_fit_overfills_no_row_and_stays_near_the_bound(widths):
    widths = np.array(widths)
    load = np.bincount(best_fit(widths, 20), widths)
    assert load.max() <= 20
    assert len(load) <= 11 / 9 * np.ceil(widths.sum() / 20) * 1.5 + 1


def test_blocks_are_the_stream_itself():
    rows = all_rows(Blocks()(numbered([3, 0, 4]), 5, FRAME))
    assert rows.tokens.ravel().tolist() == [10, 11, 12, EOS, EOS, 13, 14, 15, 16, EOS]
    assert (rows.segments == 1).all()
    assert rows.examples[:, 0].tolist() == [0, 1]


def pairs(count=3, size=4) -> Documents:
    source, bounds = join([np.arange(size) + 10 * (i + 1) for i in range(count)])
    return Documents(source + 100, bounds, source=source, source_bounds=bounds)


def test_pairs_stay_aligned():
    rows = all_rows(Paired()(pairs(), 7, FRAME))
    text = rows.tokens >= 100
    assert (rows.tokens[text] == rows.source[text] + 100).all()
    assert (rows.segments == rows.source_segments).all()


def test_what_closes_an_answer_counts():
    rows = all_rows(Paired()(pairs(), 7, FRAME))
    assert rows.scored is None  # all of it, its end too: else no model learns to stop


def test_several_pairs_share_a_row_and_stay_together():
    rng = np.random.default_rng(0)
    asked, answered = rng.integers(1, 9, 60), rng.integers(1, 9, 60)
    source, source_bounds = join([np.full(n, 1000 + i) for i, n in enumerate(asked)])
    tokens, bounds = join([np.full(n, 2000 + i) for i, n in enumerate(answered)])
    documents = Documents(tokens, bounds, source=source, source_bounds=source_bounds)
    packed = PairedSegments()(documents, 20, FRAME)
    assert len(packed) < 45  # one pair a row would be 60
    rows = all_rows(packed)
    seen = []
    for row in range(len(rows.tokens)):
        for number in range(1, rows.segments[row].max() + 1):
            answer = rows.tokens[row, rows.segments[row] == number]
            question = rows.source[row, rows.source_segments[row] == number]
            pair = answer[answer >= 2000] - 2000
            assert (pair == pair[0]).all() and len(pair) == answered[pair[0]]
            assert (question[question >= 1000] - 1000 == pair[0]).all()
            assert (question >= 1000).sum() == asked[pair[0]]
            seen.append(int(pair[0]))
        assert rows.source_segments[row].max() == rows.segments[row].max()
    assert sorted(seen) == list(range(60))


def test_prompts_are_scored_on_the_answer_and_its_end():
    packed = Prompted()(pairs(), 21, FRAME)
    rows = all_rows(packed)
    assert len(packed) == 2 and rows.segments.max() == 2
    assert rows.tokens[0, :10].tolist() == [10, 11, 12, 13, BOS, 110, 111, 112, 113, EOS]
    assert rows.scored[0, :10].tolist() == [False] * 5 + [True] * 5


def test_examples_are_never_cut():
    scored = dataclasses.replace(numbered([4, 9]), scored=np.ones(13, bool))
    with pytest.raises(ValueError, match="example 1 has 9 tokens, rows of 8 hold 8.*1 more"):
        Segments()(scored, 8, BARE)
    with pytest.raises(ValueError, match="segments or padded"):
        Blocks()(scored, 8, BARE)
    with pytest.raises(ValueError, match="needs pairs"):
        Paired()(numbered([3]), 8, FRAME)
    with pytest.raises(ValueError, match="no room for text.*raise data.length"):
        Segments()(numbered([3]), 2, FRAME)


def lines_run(function):
    """(what it returns, lines of Python that it ran): its work, whatever else the machine does."""
    ran, before = [0], sys.gettrace()

    def trace(template, event, argument):
        ran[0] += 1
        return trace

    sys.settrace(trace)
    try:
        return function(), ran[0]
    finally:
        sys.settrace(before)


def test_the_work_of_packing_short_documents_grows_as_their_number():
    documents = numbered(np.random.default_rng(0).integers(1, 40, 20_000))
    packed, ran = lines_run(lambda: Segments()(documents, 128, FRAME))
    assert ran < 40 * 20_000
    assert packed.facts()["padding_share"] < 0.002


@pytest.mark.parametrize("packing", [Segments(), Segments(window=16)])
def test_rows_keep_to_their_limits(packing):
    """Pieces that need much of another room share a row with fewer."""
    documents = numbered(np.random.default_rng(0).integers(1, 40, 300))
    limits = (
        Limit(lambda size, around, behind: np.maximum(size // 4, 1) + behind, 10),
        Limit(lambda size, around, behind: size + around + 1, 44),
    )
    packed = packing(documents, 40, dataclasses.replace(FRAME, limits=limits))
    assert sorted(packed.order) == list(range(len(packed.start)))
    for row in range(len(packed)):
        size = packed.size[packed.order[packed.bounds[row] : packed.bounds[row + 1]]]
        assert size.sum() + 2 * len(size) <= 40
        assert all(limit.need(size, 2, 1).sum() <= limit.room for limit in limits)
    free = packing(documents, 40, FRAME)
    assert len(free) < len(packed)
