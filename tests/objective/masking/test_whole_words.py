"""Whole-word masking: the token budget, words of any length alike, and how each can be broken."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.check import judge
from fxformer.evaluate.audit.checks.all import masking_checks, objective_checks
from fxformer.objective.masked import MaskedLM
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.tokens import due
from fxformer.objective.masking.whole_words import WholeWords, Words
from fxformer.objective.masking.word_spans import Spans
from fxformer.objective.pieces import pieces_of
from fxformer.objective.segments import order_within, ranks_of, sums_before


class Passing(WholeWords):
    """Broken: as released with BERT, a word that would exceed the budget is passed over."""

    def __call__(self, pieces, draws):
        budget = due(self.rate, pieces.free_lengths)
        words = Words.of(pieces, budget)
        lots = draws.at(words.piece).bits("select", words.rank)
        order = order_within(words.piece, lots)
        left, which = budget.copy(), []
        for word in order:
            piece = words.piece[word]
            if words.size[word] <= left[piece]:
                left[piece] -= words.size[word]
                which.append(word)
        which = np.sort(np.array(which))
        return words.tokens(which, pieces.ranks[words.first[which]])


class Full(WholeWords):
    """Broken: words are taken until the budget is reached or exceeded."""

    def __call__(self, pieces, draws):
        budget = due(self.rate, pieces.free_lengths)
        words = Words.of(pieces, budget)
        order = order_within(words.piece, draws.at(words.piece).bits("select", words.rank))
        before = sums_before(words.size[order], words.piece[order], pieces.count)
        which = np.sort(order[before < budget[words.piece[order]]])
        return words.tokens(which, pieces.ranks[words.first[which]])


class Split(WholeWords):
    """Broken: the last token of the text's long words is left out."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        return chosen.take(ranks_of(chosen.runs(pieces), len(chosen.index)) < 4)


class Leftward(WholeWords):
    """Broken: no turn and no order; the words at the beginning."""

    def __call__(self, pieces, draws):
        budget = due(self.rate, pieces.free_lengths)
        words = Words.of(pieces, budget)
        before = sums_before(words.size, words.piece, pieces.count)
        which = np.flatnonzero(before < budget[words.piece])
        return words.tokens(which, pieces.ranks[words.first[which]])


class Unlucky(WholeWords):
    """Broken: a short piece gets no target."""

    def __call__(self, pieces, draws):
        chosen = super().__call__(pieces, draws)
        few = pieces.free_lengths < 5
        return chosen.take(~few[pieces.piece[chosen.index]])


class Unbounded(WholeWords):
    """Broken: a word longer than the budget is selected whole."""

    def __call__(self, pieces, draws):
        budget = due(self.rate, pieces.free_lengths)
        words = Words.of(pieces, np.full(pieces.count, 10**6))
        lots = draws.at(words.piece).bits("select", words.rank)
        order = order_within(words.piece, lots)
        before = sums_before(words.size[order], words.piece[order], pieces.count)
        which = np.sort(order[before < budget[words.piece[order]]])
        return words.tokens(which, pieces.ranks[words.first[which]])


def chosen_in(masking, batches, vocabulary):
    for rows in batches:
        pieces = pieces_of(rows, vocabulary)
        yield pieces, masking(pieces, pieces.draws(rows.seed, rows.epoch))


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_checks_hold(rate, corpus, wordy, broken):
    masking = WholeWords(rate)
    assert broken(masking_checks(masking), chosen_in(masking, corpus, wordy)) == set()


@pytest.mark.parametrize(
    "masking, check",
    [
        (Passing(), "selected share of the words, rounding aside"),
        (Full(), "selected share of the tokens, rounding aside"),
        (Split(), "words, or parts as long as the budget, selected in part"),
        (Unbounded(), "units of more tokens than the budget"),
        (Unbounded(), "pieces with twice their budget selected"),
        (Leftward(), "place of a selected word in its piece"),
        (Unlucky(), "pieces without a target"),
    ],
)
def test_a_broken_rule_breaks_its_check(masking, check, corpus, wordy, broken):
    assert check in broken(masking_checks(masking), chosen_in(masking, corpus[:6], wordy))


def test_with_one_token_words_the_count_is_exact(corpus, vocabulary):
    for pieces, chosen in chosen_in(WholeWords(), corpus[:3], vocabulary):  # all words of one
        taken = np.bincount(pieces.piece[chosen.index], minlength=pieces.count)
        assert (taken == due(0.15, pieces.free_lengths)).all()


def test_units_are_the_words(corpus, wordy):
    for pieces, chosen in chosen_in(WholeWords(), corpus[:1], wordy):  # none beyond the budget
        assert isinstance(chosen, Masked) and (np.diff(chosen.index) > 0).all()
        pair = np.stack([pieces.piece[chosen.index], pieces.word[chosen.index]], 1)
        same = (np.diff(pair, axis=0) == 0).all(1)
        assert (same == (np.diff(chosen.runs(pieces)) == 0)).all()


def test_a_text_of_one_word_is_selected_in_part(pack, vocabulary):
    """Of a word longer than the budget only a part is hidden: 15 % of 60 tokens."""
    flag = np.zeros(len(vocabulary.special), bool)
    words = dataclasses.replace(vocabulary, starts_word=flag)
    batches = [pack([[(example, 62)] for example in range(64)], 64)]
    for masking in (WholeWords(), Spans()):
        (pieces, chosen), *_ = chosen_in(masking, batches, words)
        taken = np.bincount(pieces.piece[chosen.index], minlength=pieces.count)
        assert taken.min() > 0 and taken.max() < 18 and abs(taken.mean() - 9) < 0.5


def test_a_row_has_room_for_whatever_is_selected(corpus, wordy):
    for masking in (WholeWords(), WholeWords(0.4), Spans(), Spans(0.4, whole_words=False)):
        for rows in corpus[:3]:
            pieces = pieces_of(rows, wordy)
            chosen = masking(pieces, pieces.draws(0, 0))
            taken = np.bincount(pieces.piece[chosen.index], minlength=pieces.count)
            limit = masking.limit(rows.tokens.shape[1])
            assert (taken <= limit.need(pieces.free_lengths, 2, 1)).all()


def test_words_of_one_token_leave_nothing_to_see_and_nothing_broken(corpus, vocabulary, build):
    made = build(MaskedLM, words=vocabulary, masking=WholeWords())
    pairs = [(rows, made.corrupt(rows)) for rows in corpus[:2]]
    unseen = [check.name for check in objective_checks(made) if not judge(check, pairs).draws]
    assert unseen == ["tokens kept in a unit replaced at random, by chance"]
    assert all(
        judge(check, pairs).holds for check in objective_checks(made) if check.name in unseen
    )
