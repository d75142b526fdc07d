"""Arithmetic within segments, against loops."""

import numpy as np

from fxformer.objective.segments import (
    numbered,
    order_within,
    ranks_of,
    smallest,
    starts_of,
    sums_before,
)

COUNTS = np.array([3, 0, 1, 5, 0])
PIECE = np.repeat(np.arange(5), COUNTS)


def test_numbered_counts_within_each_segment():
    piece, rank = numbered(COUNTS)
    assert piece.tolist() == PIECE.tolist()
    assert rank.tolist() == [0, 1, 2, 0, 0, 1, 2, 3, 4] == ranks_of(PIECE, 5).tolist()
    assert starts_of(COUNTS).tolist() == [0, 3, 3, 4, 9]


def test_sums_before_start_anew_in_each_segment():
    values = np.array([5, 1, 2, 9, 1, 1, 0, 4, 2])
    assert sums_before(values, PIECE, 5).tolist() == [0, 5, 6, 0, 0, 1, 2, 2, 6]
    assert sums_before(np.zeros(0), np.zeros(0, int), 3).tolist() == []


def test_order_within_never_leaves_a_segment():
    bits = np.random.default_rng(0).integers(0, 2**63, len(PIECE)).astype(np.uint64)
    order = order_within(PIECE, bits)
    assert PIECE[order].tolist() == PIECE.tolist()
    for p in range(5):
        mine = order[PIECE == p]
        assert (np.diff(bits[mine].astype(float)) >= 0).all()


def test_smallest_takes_the_number_asked_for():
    bits = np.random.default_rng(1).integers(0, 2**63, len(PIECE)).astype(np.uint64)
    taken = smallest(PIECE, bits, np.array([2, 0, 1, 9, 1]))
    assert np.bincount(PIECE[taken], minlength=5).tolist() == [2, 0, 1, 5, 0]
    assert set(taken[:2]) == set(np.argsort(bits[:3])[:2])
