"""Span masking: lengths, budget, places, and how each can be broken."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import masking_checks
from fxformer.evaluate.audit.checks.word_maskings import expected_lengths, seen_spans
from fxformer.objective.masking.tokens import due
from fxformer.objective.masking.word_spans import (
    Geometric,
    Harmonic,
    Lengths,
    Spans,
    chain,
    longest,
)
from fxformer.objective.pieces import pieces_of


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
    """Broken: the spans of the first half of a piece only."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        early = 2 * chosen.first_ranks(pieces) < pieces.lengths[pieces.piece[chosen.index]]
        return chosen.take(early)


class Greedy(Spans):
    """Broken: long spans are preferred."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        run = chosen.runs(pieces)
        return chosen.take(np.bincount(run)[run] > 2)


class Joined(Spans):
    """Broken: spans that touch are one."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        piece, word = pieces.piece[chosen.index], pieces.word[chosen.index]
        new = np.ones(len(piece), bool)
        new[1:] = (piece[1:] != piece[:-1]) | (word[1:] > word[:-1] + 1)
        lead = np.flatnonzero(new)[np.cumsum(new) - 1]
        return dataclasses.replace(chosen, span=lead)


def chosen_in(masking, batches, vocabulary):
    for rows in batches:
        pieces = pieces_of(rows, vocabulary)
        yield pieces, masking(pieces, pieces.draws(rows.seed, rows.epoch))


KINDS = [Spans(), Spans(lengths=Harmonic()), Spans(0.3, whole_words=False)]


@pytest.mark.parametrize("masking", KINDS)
def test_the_checks_hold(masking, corpus, wordy, broken):
    assert broken(masking_checks(masking), chosen_in(masking, corpus, wordy)) == set()


@pytest.mark.parametrize(
    "masking, check",
    [
        (Spans(lengths=Clamped()), "share of spans of 10, cut ones aside"),
        (Spans(lengths=Clamped()), "spans beyond those expected, per piece"),
        (Short(), "selected share of the tokens, rounding aside"),
        (Greedy(), "share of spans of 1, cut ones aside"),
        (Leftward(), "place of a selected word in its piece"),
        (Joined(), "spans beyond those expected, per piece"),
        (Joined(), "share of spans of 1, cut ones aside"),
    ],
)
def test_a_broken_rule_breaks_its_check(masking, check, corpus, wordy, broken):
    assert check in broken(masking_checks(masking), chosen_in(masking, corpus, wordy))


@pytest.mark.parametrize("lengths, mean", [(Geometric(), 3.797), (Harmonic(), 1.636)])
def test_the_mean_length_is_the_papers(lengths, mean):
    assert abs(lengths.shares.sum() - 1) < 1e-12 and abs(lengths.mean - mean) < 1e-3


@pytest.mark.parametrize("lengths", [Geometric(), Harmonic()])
def test_what_is_expected_is_what_comes(lengths, pack, wordy):
    """The expected number of spans of each length, in pieces short and long."""
    rows = pack([[(9 * i, 20), (9 * i + 1, 90), (9 * i + 2, 3)] for i in range(600)], 128)
    masking, pieces = Spans(0.3, lengths=lengths), pieces_of(rows, wordy)
    chosen = masking(pieces, pieces.draws(0, 0))
    _, of_length, expected = seen_spans(masking, pieces, chosen)
    total = expected.sum(0)
    assert (np.abs(of_length.sum(0) - total) < 5 * np.sqrt(total) + 1).all()
    words = masking.words(pieces)
    whole = expected_lengths(words, longest(words, due(0.3, pieces.free_lengths)), lengths.shares)
    np.testing.assert_allclose(whole @ np.arange(1, len(lengths.shares) + 1), words.count)


def test_a_chain_visits_what_a_loop_would():
    steps = np.random.default_rng(0).integers(1, 5, 300)
    following = np.minimum(np.arange(300) + steps, 300)
    place, visited = 0, []
    while place < 300:
        visited.append(place)
        place = int(following[place])
    assert chain(following).tolist() == visited and chain(following[:0]).tolist() == []


def test_the_share_of_the_tokens_is_the_rate_on_average(corpus, wordy):
    taken = whole = 0
    for pieces, chosen in chosen_in(Spans(), corpus, wordy):
        taken, whole = taken + len(chosen.index), whole + pieces.free.sum()
    assert abs(taken / whole - 0.15) < 0.006
