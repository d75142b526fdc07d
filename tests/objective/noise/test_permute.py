"""Sentence permutation: its checks hold, and each can be broken."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from fxformer.evaluate.audit.checks.all import noise_checks
from fxformer.objective.noise.permute import SentencePermutation, sentences
from fxformer.objective.pieces import pieces_of


class Still(SentencePermutation):
    """Broken: permutes nothing."""

    def __call__(self, pieces, draws, vocabulary):
        return pieces.take(np.arange(len(pieces.tokens)))


class Backwards(SentencePermutation):
    """Broken: a fixed order, last sentence first, and torn at that."""

    def __call__(self, pieces, draws, vocabulary):
        index = np.arange(len(pieces.tokens))
        body = np.flatnonzero(~pieces.end)
        index[body] = body[np.lexsort((-body, pieces.piece[body]))]
        return pieces.take(index)


class Across(SentencePermutation):
    """Broken: swaps tokens between two pieces."""

    def __call__(self, pieces, draws, vocabulary):
        after = super().__call__(pieces, draws, vocabulary)
        swap = np.arange(len(after.tokens))
        swap[[1, -2]] = swap[[-2, 1]]
        moved = {name: getattr(after, name)[swap] for name in ("tokens", "origin")}
        return dataclasses.replace(after, **moved)


class Swapped(SentencePermutation):
    """Broken: puts one ordinary token in the place of another."""

    def __call__(self, pieces, draws, vocabulary):
        after = super().__call__(pieces, draws, vocabulary)
        return dataclasses.replace(after, tokens=np.where(after.tokens == 77, 78, after.tokens))


@pytest.mark.parametrize("noise", [SentencePermutation(), SentencePermutation(0.5)])
def test_the_checks_hold(noise, corpus, corrupt_with, broken, vocabulary):
    assert broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus)) == set()


@pytest.mark.parametrize(
    "noise, check",
    [
        (Still(), "pieces in their old order, beyond 1/s!"),
        (Still(), "place of the sentence that was first"),
        (Backwards(), "place of the sentence that was first"),
        (Backwards(), "neighbours parted inside a sentence"),
        (Across(), "tokens that crossed a border between pieces"),
        (Across(), "multiset of a piece's tokens changed"),
        (Swapped(), "tokens changed on the way"),
    ],
)
def test_a_broken_rule_breaks_its_check(noise, check, corpus, corrupt_with, broken, vocabulary):
    assert check in broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus))


def test_every_order_of_three_sentences_is_equally_likely(pack, vocabulary):
    """Three sentences of two tokens; 12,000 pieces; six orders."""
    rows = pack([[(20 * r + i, 8) for i in range(20)] for r in range(600)], 160)
    one = np.array([2, 100, 5, 101, 6, 102, 7, 3])  # ids 5, 6, 7 end a sentence
    rows.tokens[:] = np.tile(one, (600, 20))
    pieces = pieces_of(rows, vocabulary)
    after = SentencePermutation()(pieces, pieces.draws(0, 0), vocabulary)
    seen = Counter(map(tuple, after.tokens.reshape(-1, 8)[:, 1:7].tolist()))
    assert len(seen) == 6
    assert stats.chisquare(list(seen.values())).pvalue > 1e-6


def test_sentences_end_at_their_marks(pack, vocabulary):
    rows = pack([[(0, 8)]], 10)
    rows.tokens[0, :8] = [2, 100, 5, 101, 102, 6, 103, 3]
    first, lengths, _ = sentences(pieces_of(rows, vocabulary))
    assert first.tolist() == [1, 3, 6] and lengths.tolist() == [2, 3, 1]
