"""NSP and SOP: their checks on packed rows, what breaks each, and texts by hand."""

import dataclasses

import numpy as np
import pytest

from fxformer.batch import Pairs
from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.masking.word_spans import Spans
from fxformer.objective.nsp import NextSentence
from fxformer.objective.sop import SentenceOrder
from tests.objective.conftest import BOS, EOS, MASK, PAD

BOTH = pytest.mark.parametrize("objective", [NextSentence, SentenceOrder])


@pytest.fixture(scope="module")
def corpus(packed):
    return [packed.rows(np.arange(len(packed)), 0, epoch) for epoch in range(12)]


class Seldom(NextSentence):
    def wrong(self, pieces, rows):
        return pieces.draws(rows.seed, rows.epoch).uniform("sentence pair") < 0.3


class Deaf(NextSentence):
    """Broken: the second text is the true one, whatever the class."""

    def with_wrong_pairs(self, pieces, pairs, wrong):
        return super().with_wrong_pairs(pieces, pairs, wrong & False)


class Unmoved(SentenceOrder):
    def with_wrong_pairs(self, pieces, pairs, wrong):
        return super().with_wrong_pairs(pieces, pairs, wrong & (pieces.segment > 1))


class Untyped(SentenceOrder):
    """Broken: types stay where they were when the texts move."""

    def with_wrong_pairs(self, pieces, pairs, wrong):
        tokens, _ = super().with_wrong_pairs(pieces, pairs, wrong)
        return tokens, pairs.types[pairs.documents >= 0]


class Greedy(NextSentence):
    """Broken: hides the eos between the texts."""

    def corrupt(self, rows):
        batch = super().corrupt(rows)
        row, column = np.nonzero(batch.tokens == EOS)
        first = np.unique(row, return_index=True)[1]
        picked, targets, tokens = (x.copy() for x in (batch.picked, batch.targets, batch.tokens))
        picked[row[first], 0], targets[row[first], 0] = column[first], EOS
        tokens[row[first], column[first]] = MASK
        return batch.replace(picked=picked, targets=targets, tokens=tokens)


class Shifted(NextSentence):
    def corrupt(self, rows):
        batch = super().corrupt(rows)
        return batch.replace(labels=batch.labels.replace(at=batch.labels.at + 1))


class Uneven(NextSentence):
    def corrupt(self, rows):
        batch = super().corrupt(rows)
        scale = 1 + np.arange(batch.labels.at.shape[1], dtype=np.float32)
        return batch.replace(labels=batch.labels.replace(weights=batch.labels.weights * scale))


class Joined(NextSentence):
    """Broken: the pieces of a row see each other."""

    def corrupt(self, rows):
        batch = super().corrupt(rows)
        return batch.replace(segments=np.minimum(batch.segments, 1))


@BOTH
@pytest.mark.parametrize("knobs", [{}, {"rate": 0.2}, {"masking": Spans()}])
@pytest.mark.sample(2)
def test_the_checks_hold(objective, knobs, build, corpus, broken):
    one = build(objective, **knobs)
    assert broken(objective_checks(one), [(rows, one.corrupt(rows)) for rows in corpus]) == set()
    assert one.tally.counts() == {}


@pytest.mark.parametrize(
    "objective, check",
    [
        (Seldom, "right and wrong pairs"),
        (Deaf, "texts other than their class says"),
        (Unmoved, "texts in another order than their class says"),
        (Untyped, "types other than 0 up to the first eos, 1 behind it"),
        (Greedy, "special tokens or padding selected"),
        (Shifted, "pieces without one class at their first token"),
        (Uneven, "weights of the classes other than the targets'"),
        (Joined, "borders of pieces moved"),
    ],
)
def test_a_broken_rule_breaks_its_check(objective, check, build, corpus, broken):
    one = build(objective)
    assert check in broken(
        objective_checks(one), [(rows, one.corrupt(rows)) for rows in corpus[:6]]
    )


def test_a_rival_of_the_same_document_is_seen(build, corpus, broken):
    pairs = corpus[0].pairs
    rows = dataclasses.replace(
        corpus[0], pairs=dataclasses.replace(pairs, negative_documents=pairs.documents)
    )
    one = build(NextSentence)
    check = "wrong second texts from the same document"
    assert broken(objective_checks(one), [(rows, one.corrupt(rows))]) == {check}


def test_both_by_hand(build, pack):
    rows = pack([[(0, 10)]], 12)
    rows.tokens[0, :10] = [BOS, 11, 12, EOS, 21, 22, 23, 24, 25, EOS]
    types = np.array([[0] * 4 + [1] * 6 + [0] * 2])
    negatives = rows.tokens.copy()
    negatives[0, 4:9] = range(31, 36)
    home = np.array([[0] * 10 + [-1] * 2])
    rows = dataclasses.replace(rows, pairs=Pairs(types, home, negatives, home + types))
    shown = build(NextSentence, rate=1.0).shown(rows)
    assert (shown.tokens == negatives).all() and (shown.pairs.types == types).all()
    shown = build(SentenceOrder, rate=1.0).shown(rows)
    swapped = [BOS, 21, 22, 23, 24, 25, EOS, 11, 12, EOS, PAD, PAD]
    assert shown.tokens[0].tolist() == swapped
    assert shown.pairs.types[0].tolist() == [0] * 7 + [1] * 3 + [0] * 2
    for objective in (NextSentence, SentenceOrder):
        batch = build(objective, rate=0.0).corrupt(rows)
        assert batch.labels.classes.tolist() == [[0, 0]] and batch.types.tolist() == types.tolist()
        assert batch.labels.weights.tolist() == [[batch.weights.sum(), 0]]


@BOTH
def test_a_piece_is_the_same_packed_or_alone(objective, build, packed):
    one, many = build(objective), packed.rows(np.arange(len(packed)), 1, 1)
    whole = one.corrupt(many)
    place = np.argwhere((many.segments == 2) & (np.roll(many.segments, 1, 1) == 1))
    row, at = place[0]
    here = many.segments[row] == 2
    lone = {
        name: np.where(here, value[row], fill)[None][:, np.argsort(~here, kind="stable")]
        for name, value, fill in (
            ("tokens", many.tokens, PAD),
            ("segments", many.segments > 0, 0),
            ("examples", many.examples, -1),
        )
    }
    pairs = {
        name: np.where(here, getattr(many.pairs, name)[row], -1 if "doc" in name else 0)[None][
            :, np.argsort(~here, kind="stable")
        ]
        for name in ("types", "documents", "negatives", "negative_documents")
    }
    rows = dataclasses.replace(many, **lone, pairs=Pairs(**pairs))
    alone, n = one.corrupt(rows), here.sum()
    assert alone.tokens[0, :n].tolist() == whole.tokens[row][here].tolist()
    assert alone.types[0, :n].tolist() == whole.types[row][here].tolist()
    slot = list(whole.labels.at[row]).index(at)
    assert alone.labels.classes[0, 0] == whole.labels.classes[row, slot]
