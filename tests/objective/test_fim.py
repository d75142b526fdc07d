"""Fill in the middle: shares, cuts, both orders, room for marks, and what breaks each check."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.fim import FillInTheMiddle
from fxformer.objective.fim_split import CharacterSplit
from fxformer.spelling import Spelling


class Eager(FillInTheMiddle):
    """Broken: turns more pieces than it says."""

    def kinds(self, pieces, draws):
        return np.maximum(super().kinds(pieces, draws), draws.uniform("x") < 0.1)


class Early(FillInTheMiddle):
    """Broken: both cuts in the first half."""

    def cuts(self, pieces, draws):
        one, two = super().cuts(pieces, draws)
        return one // 2, two // 2


class Central(FillInTheMiddle):
    """Broken: cuts crowd in the middle, at the right distance and with the right mean."""

    def cuts(self, pieces, draws):
        one, two = super().cuts(pieces, draws)
        m = self.measure(pieces)
        shift = m // 2 - (one + two) // 2
        shift = np.clip(shift, -one, m - two)
        return one + shift, two + shift


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


@pytest.mark.parametrize("split", ["token", "character"])
@pytest.mark.parametrize("knobs", [{}, {"rate": 0.9, "spm": 0.0}, {"rate": 1.0, "spm": 1.0}])
@pytest.mark.sample(3)
def test_the_checks_hold(knobs, split, build, marked, corpus, broken):
    made = build(FillInTheMiddle, words=marked, shortest=3, split=split, **knobs)
    checks = [
        check
        for check in objective_checks(made)
        if knobs.get("spm") != 1.0 or "tenth" not in check.name
    ]
    assert broken(checks, [(rows, made.corrupt(rows)) for rows in corpus]) == set()
    assert made.tally.counts() == {}


@pytest.mark.parametrize(
    "objective, check",
    [
        (Eager, "pieces left alone, PSM and SPM"),
        (Early, "place of the cuts in their piece"),
        (Early, "tenth of their piece that the cuts are in"),
        (Central, "tenth of their piece that the cuts are in"),
        (Narrow, "length of the middle, as a share of the mean"),
        (Crossed, "parts of other lengths than drawn"),
        (Mute, "marks missing or out of order"),
    ],
)
@pytest.mark.parametrize("split", ["token", "character"])
@pytest.mark.sample(3)
def test_a_broken_rule_breaks_its_check(objective, check, split, build, marked, corpus, broken):
    made = build(objective, words=marked, shortest=3, split=split)
    assert check in broken(objective_checks(made), [(rows, made.corrupt(rows)) for rows in corpus])


def test_a_batch_that_is_not_the_text_is_seen(build, marked, corpus, broken):
    made = build(FillInTheMiddle, words=marked, shortest=3)
    batch = made.corrupt(corpus[0])
    wrong = dataclasses.replace(batch, tokens=np.where(batch.tokens == 77, 78, batch.tokens))
    names = broken(objective_checks(made), [(corpus[0], wrong)])
    assert {"parts put together are not the text", "tokens changed"} <= names
    wrong = dataclasses.replace(batch, targets=batch.tokens)
    assert "targets other than the next token" in broken(
        objective_checks(made), [(corpus[0], wrong)]
    )


@pytest.mark.parametrize("spm", [0.0, 1.0])
def test_both_orders_by_hand(spm, build, marked, pack):
    made = build(FillInTheMiddle, words=marked, rate=1.0, spm=spm, split="token")
    made.cuts = lambda pieces, draws: (np.array([2]), np.array([5]))
    rows = pack([[(0, 10)]], 10)
    pre, suf, mid = marked.sentinels[:3]
    _, a, b, c, d, e, f, g, h, eos = rows.tokens[0]
    middle = [mid, c, d, e] if spm == 0 else [mid, a, b, c, d, e]
    start = [pre, a, b, suf] if spm == 0 else [pre, suf]
    assert made.turned(rows).tokens[0].tolist() == [2, *start, f, g, h, *middle, eos]


def test_no_room_no_turn_and_it_is_counted(build, marked, pack):
    made = build(FillInTheMiddle, words=marked, rate=1.0, split="token")
    rows = pack([[(i, 10) for i in range(6)]], 64)
    batch = made.corrupt(rows)
    assert (batch.tokens == marked.sentinels[0]).sum() == 2  # 64 + 3 places, 60 of them text
    assert made.tally.counts() == {"pieces without room for their marks": 4}


def test_a_full_row_without_room_for_new_tokens_is_still_turned(build, marked, pack, broken):
    """Cuts that would make more tokens than fit are moved between tokens: the rate is kept."""
    width = build(FillInTheMiddle, words=marked).row_length(64)
    batches = [pack([[(64 * b + i, width)] for i in range(64)], width) for b in range(4)]

    made = build(Letterwise, words=marked, rate=1.0, spm=0.0)
    pairs = [(rows, made.corrupt(rows)) for rows in batches]
    counts = made.tally.counts()
    assert set(counts) == {"pieces cut between tokens for want of room"}
    assert counts["pieces cut between tokens for want of room"] > 200
    assert all((batch.tokens == marked.sentinels[0]).sum() == 64 for _, batch in pairs)
    exact = [
        check
        for check in objective_checks(made)
        if check.kind == "exact" and "otherwise" not in check.name
    ]
    assert broken(exact, pairs) == set()


@pytest.mark.parametrize("length", [8, 32, 64, 128, 512, 1024])
@pytest.mark.parametrize("split", ["token", "character"])
def test_the_model_reads_the_length_asked_for(length, split, build, marked):
    made = build(FillInTheMiddle, words=marked, split=split)
    assert made.wide(made.row_length(length)) == length + 1


def test_missing_marks_name_the_override(build, vocabulary):
    with pytest.raises(ValueError, match=r"write tokenizer\.specials\.sentinels=3"):
        build(FillInTheMiddle, words=vocabulary)


class Letterwise(FillInTheMiddle):
    """Broken: what stands beside a cut is spelt letter by letter."""

    @property
    def splitting(self):
        spelling = self.vocabulary.spelling
        single = Spelling(
            [
                None if n < 0 else spelling.bytes_of([i]).tobytes()
                for i, n in enumerate(spelling.size)
            ],
            lambda texts: [spelling.single[np.frombuffer(t.encode(), np.uint8)] for t in texts],
        )
        return CharacterSplit(single)


def test_parts_are_cut_as_the_tokenizer_cuts(build, marked, corpus, broken):
    made = build(Letterwise, words=marked, shortest=1)
    check = "parts that the tokenizer cuts otherwise"
    assert broken(objective_checks(made), [(rows, made.corrupt(rows)) for rows in corpus[:2]]) == {
        check
    }


def test_cuts_inside_of_tokens_by_hand(build, marked, pack):
    made = build(FillInTheMiddle, words=marked, rate=1.0, spm=0.0)
    rows = pack([[(0, 6)]], 6)
    ids = {marked.spelling.bytes_of([i]).tobytes().decode(): i for i in range(5, 200)}
    rows.tokens[0, 1:5] = [ids["aa"], ids["ab"], ids["ac"], ids["ad"]]
    made.cuts = lambda pieces, draws: (np.array([3]), np.array([4]))
    pre, suf, mid = marked.sentinels[:3]
    right = [2, pre, ids["aa"], ids["a"], suf, ids["ac"], ids["ad"], mid, ids["b"], 3]
    assert made.turned(rows).tokens[0, :10].tolist() == right


def test_a_piece_that_cannot_be_spelt_is_left_alone_and_counted(build, marked, pack):
    made = build(FillInTheMiddle, words=marked, rate=1.0)
    rows = pack([[(0, 30), (1, 30)]], 64)
    rows.tokens[0, 35] = 1  # unk
    batch = made.corrupt(rows)
    assert made.tally.counts() == {"pieces without an exact spelling": 1}
    assert (batch.tokens == marked.sentinels[0]).sum() == 1
    assert (
        np.sort(batch.tokens[0][batch.segments[0] == 2]) == np.sort(rows.tokens[0, 30:60])
    ).all()


def test_without_an_exact_spelling_the_right_thing_is_named(build, marked):
    words = dataclasses.replace(marked, spelling=None)
    with pytest.raises(ValueError, match=r"bytebpe, byte or char, or objective\.split=token"):
        build(FillInTheMiddle, words=words)
    assert build(FillInTheMiddle, words=words, split="token").growth == 3


def test_a_piece_is_cut_the_same_packed_or_alone(build, marked, pack):
    made = build(FillInTheMiddle, words=marked, shortest=3, rate=1.0)
    both = made.turned(pack([[(3, 40), (4, 25)], [(5, 60)]], 70))
    for example, row, segment, length in ((3, 0, 1, 40), (4, 0, 2, 25), (5, 1, 1, 60)):
        alone = made.turned(pack([[(example, length)]], 64))
        here = both.tokens[row][both.segments[row] == segment]
        assert here.tolist() == alone.tokens[0][alone.segments[0] == 1].tolist()
