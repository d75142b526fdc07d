"""Both sides of a benchmark do the same work; nothing is timed here."""

import math

import pytest

from benchmarks.duel import spread
from benchmarks.work import IGNORED, PEERS, Shape, arrays, labels

SMALL = Shape(batch=2, length=16, dim=16, layers=2, heads=2, vocab=512)


@pytest.mark.parametrize("family", PEERS)
def test_sides_are_as_large_and_start_from_chance(family):
    peers = pytest.importorskip("benchmarks.peers", exc_type=ImportError)
    from benchmarks.ours import Side

    ours = Side(family, SMALL)
    ours.run(1)
    for name in PEERS[family]:
        theirs = peers.Side(name, family, SMALL)
        theirs.run(1)
        assert theirs.parameters == ours.parameters
        for side in (ours, theirs):  # small weights: all ids nearly equally likely
            assert abs(side.loss - math.log(SMALL.vocab)) < 0.2


def test_masked_positions_are_the_same_for_both():
    made = arrays("encoder", SMALL)
    full = labels(made)
    assert (full != IGNORED).sum() == made["picked"].size
    for row in range(SMALL.batch):
        assert list(full[row, made["picked"][row]]) == list(made["targets"][row])


def test_ratio_is_taken_pair_by_pair():
    assert spread([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == {"median": 2.0, "low": 2.0, "high": 2.0}
