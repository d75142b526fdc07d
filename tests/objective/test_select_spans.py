"""Span masking: lengths, budget, places, and how each can be broken."""

import dataclasses

import numpy as np
import pytest

from fxformer.objective.lengths import Geometric, Harmonic, Lengths
from fxformer.objective.pieces import pieces_of
from fxformer.objective.select_spans import Spans, expected_lengths

FULL = 10_000


@dataclasses.dataclass(frozen=True)
class Clamped(Lengths):
    """Broken: what lies beyond the longest is cut to it."""

    claimed: Lengths = Geometric()

    @property
    def shares(self):
        return self.claimed.shares

    def draw(self, draws, stream, position=0):
        return np.minimum(draws.geometric(stream, 0.2, position), 10)


class Short(Spans):
    """Broken: the last span is left out."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        run, piece = chosen.runs(pieces), pieces.piece[chosen.index]
        last = np.zeros(pieces.count, np.int64)
        last[piece] = run
        return chosen.take(run != last[piece])


class Leftward(Spans):
    """Broken: all spans at the beginning."""

    def _placed(self, words, budget, piece, lengths, draws):
        _, lengths = super()._placed(words, budget, piece, lengths, draws)
        first = np.cumsum(words.count) - words.count
        before = np.cumsum(lengths) - lengths
        lead = np.searchsorted(piece, piece)
        return first[piece] + before - before[lead], lengths


class Joined(Spans):
    """Broken: spans that touch are one unit."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        piece, word = pieces.piece[chosen.index], pieces.word[chosen.index]
        new = np.ones(len(piece), bool)
        new[1:] = (piece[1:] != piece[:-1]) | (word[1:] > word[:-1] + 1)
        lead = np.flatnonzero(new)[np.cumsum(new) - 1]
        return dataclasses.replace(chosen, unit=pieces.ranks[chosen.index[lead]])


def chosen_in(selection, batches, vocabulary):
    for rows in batches:
        pieces = pieces_of(rows, vocabulary)
        yield pieces, selection(pieces, pieces.draws(rows.seed, rows.epoch))


KINDS = [Spans(), Spans(lengths=Harmonic()), Spans(0.3, whole_words=False)]


@pytest.mark.parametrize("selection", KINDS)
def test_the_laws_hold(selection, corpus, wordy, broken):
    assert broken(selection.laws(), chosen_in(selection, corpus, wordy)) == set()


@pytest.mark.parametrize(
    "selection, law",
    [
        (Spans(lengths=Clamped()), "share of spans of 10, the cut of the last aside"),
        (Spans(lengths=Clamped()), "spans beyond those expected, per piece"),
        (Short(), "selected words less than due"),
        (Leftward(), "place of a selected word in its piece"),
        (Joined(), "spans beyond those expected, per piece"),
        (Joined(), "share of spans of 1, the cut of the last aside"),
    ],
)
def test_a_broken_rule_breaks_its_law(selection, law, corpus, wordy, broken):
    assert law in broken(selection.laws(), chosen_in(selection, corpus, wordy))


@pytest.mark.parametrize("lengths, mean", [(Geometric(), 3.797), (Harmonic(), 1.636)])
def test_the_mean_length_is_the_papers(lengths, mean):
    assert abs(lengths.shares.sum() - 1) < 1e-12 and abs(lengths.mean - mean) < 1e-3


@pytest.mark.parametrize("lengths", [Geometric(), Harmonic()])
def test_what_is_expected_is_what_comes(lengths):
    rng, budget = np.random.default_rng(0), 14
    counts = np.zeros(len(lengths.shares))
    for _ in range(FULL):
        left = budget
        while left:
            length = min(1 + rng.choice(len(counts), p=lengths.shares), left)
            counts[length - 1] += 1
            left -= length
    table = expected_lengths(tuple(lengths.shares.tolist()), 20)
    assert abs(table[budget] @ np.arange(1, len(counts) + 1) - budget) < 1e-9
    np.testing.assert_allclose(counts / FULL, table[budget], atol=0.05)


def test_the_share_of_the_tokens_is_the_rate_on_average(corpus, wordy):
    taken = whole = 0
    for pieces, chosen in chosen_in(Spans(), corpus, wordy):
        taken, whole = taken + len(chosen.index), whole + pieces.free.sum()
    assert abs(taken / whole - 0.15) < 0.006
