"""Fill in the middle: shares, cuts, both orders, room for marks, and what breaks each law."""

import dataclasses

import numpy as np
import pytest

from fxformer.objective.fim import FillInTheMiddle


class Eager(FillInTheMiddle):
    """Broken: turns more pieces than it says."""

    def kinds(self, pieces, draws):
        return np.maximum(super().kinds(pieces, draws), draws.uniform("x") < 0.1)


class Early(FillInTheMiddle):
    """Broken: both cuts in the first half."""

    def cuts(self, pieces, draws):
        one, two = super().cuts(pieces, draws)
        return one // 2, two // 2


class Narrow(FillInTheMiddle):
    """Broken: the middle is one token."""

    def cuts(self, pieces, draws):
        one, two = super().cuts(pieces, draws)
        return one, np.minimum(one + 1, two)


class Crossed(FillInTheMiddle):
    """Broken: the middle is cut elsewhere than drawn."""

    def moved(self, pieces, kind, cuts):
        return super().moved(pieces, kind, (cuts[0], np.maximum(cuts[1] - 1, cuts[0])))


class Mute(FillInTheMiddle):
    """Broken: the middle is not moved."""

    def moved(self, pieces, kind, cuts):
        tokens, piece = super().moved(pieces, kind, cuts)
        tokens = np.where(tokens == self.marks[2], self.marks[1], tokens)
        return tokens, piece


@pytest.mark.parametrize("knobs", [{}, {"rate": 0.9, "spm": 0.0}, {"rate": 1.0, "spm": 1.0}])
def test_the_laws_hold(knobs, build, marked, corpus, broken):
    made = build(FillInTheMiddle, words=marked, shortest=3, **knobs)
    assert broken(made.laws(), [(rows, made.corrupt(rows)) for rows in corpus]) == set()
    assert made.tally.counts() == {}


@pytest.mark.parametrize(
    "objective, law",
    [
        (Eager, "pieces left alone, PSM and SPM"),
        (Early, "place of the cuts in their piece"),
        (Narrow, "length of the middle, as a share of the mean"),
        (Crossed, "parts of other lengths than drawn"),
        (Mute, "marks missing or out of order"),
    ],
)
def test_a_broken_rule_breaks_its_law(objective, law, build, marked, corpus, broken):
    made = build(objective, words=marked, shortest=3)
    assert law in broken(made.laws(), [(rows, made.corrupt(rows)) for rows in corpus])


def test_a_batch_that_is_not_the_text_is_seen(build, marked, corpus, broken):
    made = build(FillInTheMiddle, words=marked, shortest=3)
    batch = made.corrupt(corpus[0])
    wrong = dataclasses.replace(batch, tokens=np.where(batch.tokens == 77, 78, batch.tokens))
    names = broken(made.laws(), [(corpus[0], wrong)])
    assert {"parts put together are not the text", "tokens changed"} <= names
    wrong = dataclasses.replace(batch, targets=batch.tokens)
    assert "targets other than the next token" in broken(made.laws(), [(corpus[0], wrong)])


@pytest.mark.parametrize("spm", [0.0, 1.0])
def test_both_orders_by_hand(spm, build, marked, pack):
    made = build(FillInTheMiddle, words=marked, rate=1.0, spm=spm)
    made.cuts = lambda pieces, draws: (np.array([2]), np.array([5]))
    rows = pack([[(0, 10)]], 10)
    pre, suf, mid = marked.sentinels[:3]
    _, a, b, c, d, e, f, g, h, eos = rows.tokens[0]
    middle = [mid, c, d, e] if spm == 0 else [mid, a, b, c, d, e]
    start = [pre, a, b, suf] if spm == 0 else [pre, suf]
    assert made.turned(rows).tokens[0].tolist() == [2, *start, f, g, h, *middle, eos]


def test_no_room_no_turn_and_it_is_counted(build, marked, pack):
    made = build(FillInTheMiddle, words=marked, rate=1.0)
    rows = pack([[(i, 10) for i in range(6)]], 64)
    batch = made.corrupt(rows)
    assert (batch.tokens == marked.sentinels[0]).sum() == 2  # 64 + 3 places, 60 of them text
    assert made.tally.counts() == {"pieces without room for their marks": 4}


@pytest.mark.parametrize("length", [8, 32, 64, 128, 512, 1024])
def test_the_model_reads_the_length_asked_for(length, build, marked):
    made = build(FillInTheMiddle, words=marked)
    assert made.wide(made.row_length(length)) == length + 1


def test_missing_marks_name_the_override(build, vocabulary):
    with pytest.raises(ValueError, match=r"write tokenizer\.specials\.sentinels=3"):
        build(FillInTheMiddle, words=vocabulary)
