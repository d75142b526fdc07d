"""Whole-word masking: the token budget, words of any length alike, and how each can be broken."""

import numpy as np
import pytest

from fxformer.objective.chosen import Chosen
from fxformer.objective.pieces import pieces_of
from fxformer.objective.segments import order_within, ranks_of, sums_before
from fxformer.objective.select import due
from fxformer.objective.select_words import WholeWords
from fxformer.objective.words import Words


class Passing(WholeWords):
    """Broken: as released with BERT, a word that would exceed the budget is passed over."""

    def __call__(self, pieces, draws):
        words = Words.of(pieces)
        lots = draws.at(words.piece).bits("select", words.rank)
        order = order_within(words.piece, lots)
        left, which = due(self.rate, pieces.free_lengths), []
        for word in order:
            piece = words.piece[word]
            if words.size[word] <= left[piece]:
                left[piece] -= words.size[word]
                which.append(word)
        which = np.sort(np.array(which))
        return words.tokens(which, pieces.ranks[words.first[which]], pieces)


class Full(WholeWords):
    """Broken: words are taken until the budget is reached or exceeded."""

    def __call__(self, pieces, draws):
        words = Words.of(pieces)
        order = order_within(words.piece, draws.at(words.piece).bits("select", words.rank))
        before = sums_before(words.size[order], words.piece[order], pieces.count)
        which = np.sort(order[before < due(self.rate, pieces.free_lengths)[words.piece[order]]])
        return words.tokens(which, pieces.ranks[words.first[which]], pieces)


class Split(WholeWords):
    """Broken: the last token of the text's long words is left out."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        return chosen.take(ranks_of(chosen.runs(pieces), len(chosen.index)) < 4)


class Leftward(WholeWords):
    """Broken: no turn and no order; the words at the beginning."""

    def __call__(self, pieces, draws):
        words = Words.of(pieces)
        before = sums_before(words.size, words.piece, pieces.count)
        which = np.flatnonzero(before < due(self.rate, pieces.free_lengths)[words.piece])
        return words.tokens(which, pieces.ranks[words.first[which]], pieces)


class Unlucky(WholeWords):
    """Broken: a piece whose budget falls into a long word gets no target."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        few = pieces.free_lengths < 5
        return chosen.take(~few[pieces.piece[chosen.index]])


def chosen_in(selection, batches, vocabulary):
    for rows in batches:
        pieces = pieces_of(rows, vocabulary)
        yield pieces, selection(pieces, pieces.draws(rows.seed, rows.epoch))


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_laws_hold(rate, corpus, wordy, broken):
    selection = WholeWords(rate)
    assert broken(selection.laws(), chosen_in(selection, corpus, wordy)) == set()


@pytest.mark.parametrize(
    "selection, law",
    [
        (Passing(), "selected share, rounding and sure words aside"),
        (Passing(), "selected words, of any length alike"),
        (Full(), "selected share, rounding and sure words aside"),
        (Split(), "words selected in part"),
        (Leftward(), "place of a selected word in its piece"),
        (Unlucky(), "pieces without a target"),
    ],
)
def test_a_broken_rule_breaks_its_law(selection, law, corpus, wordy, broken):
    assert law in broken(selection.laws(), chosen_in(selection, corpus[:6], wordy))


def test_with_one_token_words_the_count_is_exact(corpus, vocabulary):
    for pieces, chosen in chosen_in(WholeWords(), corpus[:3], vocabulary):
        taken = np.bincount(pieces.piece[chosen.index], minlength=pieces.count)
        assert (taken == due(0.15, pieces.free_lengths)).all()


def test_units_are_the_words(corpus, wordy):
    for pieces, chosen in chosen_in(WholeWords(), corpus[:3], wordy):
        assert isinstance(chosen, Chosen) and (np.diff(chosen.index) > 0).all()
        pair = np.stack([pieces.piece[chosen.index], pieces.word[chosen.index]], 1)
        same = (np.diff(pair, axis=0) == 0).all(1)
        assert (same == (np.diff(chosen.runs(pieces)) == 0)).all()
