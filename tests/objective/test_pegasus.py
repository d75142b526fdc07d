"""Gap sentences: scores against a loop, the choice, both sides, and what breaks each check."""

import collections
import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import masking_checks, objective_checks
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.gap_sentences import GapSentences, rouge, whole_sentences
from fxformer.objective.pegasus import GapSentenceGeneration
from fxformer.objective.pieces import pieces_of


class Lead(GapSentences):
    """Broken: the first sentences."""

    def __call__(self, pieces, draws):
        hidden = super().__call__(pieces, draws)
        free = np.flatnonzero(pieces.free)
        _, size, piece = whole_sentences(pieces)
        chosen = np.zeros(len(size), bool)
        rank = np.arange(len(piece)) - np.searchsorted(piece, piece)
        chosen = rank < hidden.number(pieces)[piece]
        return Masked(free[np.repeat(chosen, size)], np.repeat(rank, size)[np.repeat(chosen, size)])


class Short(GapSentences):
    """Broken: the first token of each piece's gaps stays."""

    def __call__(self, pieces, draws):
        hidden = super().__call__(pieces, draws)
        lead = np.diff(pieces.piece[hidden.index], prepend=-1) != 0
        return Masked(hidden.index[~lead], hidden.span[~lead])


class Many(GapSentences):
    """Broken: twice as many."""

    def __call__(self, pieces, draws):
        return GapSentences(0.7, 0.7)(pieces, draws)


def hidden_in(masking, batches, vocabulary):
    for rows in batches:
        pieces = pieces_of(rows, vocabulary)
        yield pieces, masking(pieces, pieces.draws(rows.seed, rows.epoch))


def test_the_scores_are_rouge(corpus, vocabulary):
    pieces = pieces_of(corpus[3], vocabulary)
    first, size, piece = whole_sentences(pieces)
    text, values = pieces.tokens[pieces.free], rouge(pieces)
    for i in range(0, len(first), 37):
        mine = collections.Counter(text[first[i] : first[i] + size[i]].tolist())
        whole = collections.Counter(
            pieces.tokens[pieces.free & (pieces.piece == piece[i])].tolist()
        )
        rest = whole - mine
        match = sum((mine & rest).values())
        recall, precision = match / max(rest.total(), 1), match / mine.total()
        f1 = 2 * recall * precision / (recall + precision) if match else 0.0
        assert abs(values[i] - f1) < 1e-12


@pytest.mark.parametrize("masking", [GapSentences(), GapSentences(0.15, 0.45, 0.2)])
def test_the_checks_hold(masking, build, corpus, broken):
    made = build(GapSentenceGeneration, masking=masking)
    pairs = [(rows, made.corrupt(rows)) for rows in corpus]
    assert broken(objective_checks(made), pairs) == set()


@pytest.mark.parametrize(
    "masking, check",
    [
        (Lead(), "hidden sentences with a lower score than one left"),
        (Short(), "sentences hidden in part"),
        (Many(), "hidden sentences fewer or more than due"),
    ],
)
def test_a_broken_choice_breaks_its_check(masking, check, corpus, vocabulary, broken):
    assert check in broken(
        masking_checks(GapSentences()), hidden_in(masking, corpus[:6], vocabulary)
    )


@pytest.mark.parametrize(
    "corrupted, check",
    [
        (lambda s: np.where(s == 4, 77, s), "source tokens other than what is left"),
        (lambda s: np.where(s == 77, 4, s), "masks other than one for each sentence, in its place"),
        (lambda s: np.roll(s, 1, 1), "masks other than one for each sentence, in its place"),
    ],
)
def test_a_broken_source_breaks_its_check(corrupted, check, build, corpus, broken):
    made = build(GapSentenceGeneration, masking=GapSentences())
    batch = made.corrupt(corpus[0])
    wrong = dataclasses.replace(batch, source=corrupted(batch.source))
    assert check in broken(objective_checks(made), [(corpus[0], wrong)])


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="masking.low=0.4 > masking.high=0.3"):
        GapSentences(0.4, 0.3)
