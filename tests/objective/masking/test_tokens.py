"""Selection: the rate, the count, the guaranteed target, and room for the targets of a row."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import masking_checks
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.tokens import ExactCount, Independent
from fxformer.objective.pieces import pieces_of


class Clumped(Independent):
    """Broken: a chosen token takes its right neighbour along, every other one is dropped."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws).index[::2]
        both = np.unique(np.concatenate([chosen, chosen + 1]))
        both = both[pieces.free[np.minimum(both, len(pieces.free) - 1)] & (both < len(pieces.free))]
        return Masked.single(pieces, both)


class Unlucky(Independent):
    """Broken: no guaranteed target."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        lots = draws.at(pieces.piece[chosen.index]).uniform("select", pieces.ranks[chosen.index])
        return chosen.take(lots < self.rate)


class Frugal(Independent):
    """Broken: a lower rate than it says."""

    def __call__(self, pieces, draws):
        return Independent(self.rate * 0.95)(pieces, draws)


class First(ExactCount):
    """Broken: the right number, always from the left."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws).index
        few = first_of(pieces, np.bincount(pieces.piece[chosen], minlength=pieces.count))
        return Masked.single(pieces, few)


class Floor(ExactCount):
    """Broken: rounds down."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        return chosen.take(np.diff(np.append(pieces.piece[chosen.index], -1)) == 0)


def first_of(pieces, number):
    free = np.flatnonzero(pieces.free)
    piece = pieces.piece[free]
    rank = np.arange(len(free)) - np.searchsorted(piece, piece)
    return free[rank < number[piece]]


def chosen_in(masking, batches, vocabulary):
    for rows in batches:
        pieces = pieces_of(rows, vocabulary)
        yield pieces, masking(pieces, pieces.draws(rows.seed, rows.epoch))


@pytest.mark.parametrize(
    "masking", [Independent(), ExactCount(), Independent(0.4), ExactCount(0.3)]
)
def test_the_checks_hold(masking, corpus, vocabulary, broken):
    assert broken(masking_checks(masking), chosen_in(masking, corpus, vocabulary)) == set()


@pytest.mark.parametrize(
    "masking, check",
    [
        (Clumped(), "selected neighbours, share of pairs"),
        (Unlucky(), "pieces without a target"),
        (Frugal(), "selected share, the guaranteed target aside"),
        (First(), "place of a selected token in its piece"),
        (First(), "selected neighbours, against chance"),
        (Floor(), "selected less than due"),
    ],
)
def test_a_broken_rule_breaks_its_check(masking, check, corpus, vocabulary, broken):
    assert check in broken(masking_checks(masking), chosen_in(masking, corpus, vocabulary))


@pytest.mark.parametrize("masking", [Independent(), ExactCount(), Independent(0.4)])
def test_only_ordinary_tokens_are_chosen(masking, corpus, vocabulary):
    for pieces, chosen in chosen_in(masking, corpus[:3], vocabulary):
        assert pieces.free[chosen.index].all()
        assert (np.diff(chosen.index) > 0).all()


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.4, 0.9])
def test_the_room_suffices_and_is_not_wasted(rate, pack, vocabulary):
    batches = [
        pack([[(100 * b + 8 * r + i, 64) for i in range(8)] for r in range(12)], 512)
        for b in range(10)
    ]
    for masking in (Independent(rate), ExactCount(rate)):
        room = masking.capacity(512)
        for pieces, chosen in chosen_in(masking, batches, vocabulary):
            assert np.bincount(pieces.row[pieces.piece[chosen.index]]).max() <= room
        assert room <= min(512, 512 * rate + 6.5 * np.sqrt(512 * rate * (1 - rate)) + 25)
        assert masking.capacity(0) == 0 and masking.capacity(1) == 1


def test_selections_are_equal_by_their_knobs():
    assert Independent(0.2) == dataclasses.replace(Independent(), rate=0.2)
    assert hash(ExactCount(0.2)) == hash(ExactCount(0.2))
