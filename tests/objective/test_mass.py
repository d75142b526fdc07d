"""MASS: one fragment, its place, what either side sees, and what breaks each check."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.mass import MaskedSeq2Seq
from fxformer.objective.segments import ranks_of, starts_of


class Leftward(MaskedSeq2Seq):
    """Broken: always the first half."""

    def fragment(self, pieces, draws):
        free = np.flatnonzero(pieces.free)
        number = pieces.free_lengths
        rank = ranks_of(pieces.piece[free], pieces.count)
        return free[rank < self.due(number)[pieces.piece[free]]]


class Torn(MaskedSeq2Seq):
    """Broken: every third token."""

    def fragment(self, pieces, draws):
        free = np.flatnonzero(pieces.free)
        number, piece = pieces.free_lengths, pieces.piece[free]
        rank = np.arange(len(free)) - starts_of(number)[piece]
        return free[rank % 3 == 0]


def change(**changes):
    def corrupted(batch, rows):
        return dataclasses.replace(batch, **{n: f(batch, rows) for n, f in changes.items()})

    return corrupted


def pairs_of(made, batches):
    return [(rows, made.corrupt(rows)) for rows in batches]


@pytest.mark.parametrize("knobs", [{"rate": 0.5}, {"rate": 0.2}, {"rate": 0.15, "block": 64}])
def test_the_checks_hold(knobs, build, corpus, broken):
    made = build(MaskedSeq2Seq, **knobs)
    assert broken(objective_checks(made), pairs_of(made, corpus)) == set()


@pytest.mark.parametrize(
    "objective, knobs, check",
    [
        (MaskedSeq2Seq, {"block": 32}, "fragments in more than one part"),
        (Leftward, {}, "place of the fragment, from first to last"),
        (Torn, {}, "fragments in more than one part"),
        (Torn, {}, "tokens of the fragment other than round(rate·m)"),
    ],
)
def test_a_broken_fragment_breaks_its_check(objective, knobs, check, build, corpus, broken):
    made = build(objective, **knobs)
    checks = objective_checks(build(MaskedSeq2Seq, block=64)) if knobs else objective_checks(made)
    assert check in broken(checks, pairs_of(made, corpus[:6]))


def test_every_block_has_its_fragment(build, pack):
    """62 ordinary tokens in blocks of 20: three whole ones and one of two tokens."""
    batch = build(MaskedSeq2Seq, rate=0.3, block=20).corrupt(pack([[(0, 64)]], 64))
    hit = batch.weights[0] > 0
    assert [hit[1 + 20 * n : 21 + 20 * n].sum() for n in range(3)] == [6, 6, 6]
    assert hit[61:63].sum() == 1 and hit.sum() == 19


@pytest.mark.parametrize(
    "corrupted, check",
    [
        (change(tokens=lambda b, r: r.tokens), "decoder inputs other than mask or fragment"),
        (change(targets=lambda b, r: b.targets + 1), "targets other than the original"),
        (change(source=lambda b, r: r.tokens), "masked, random and kept shares of the selected"),
        (
            change(source=lambda b, r: b.targets * 0 + 4),
            "source tokens changed outside the fragment",
        ),
    ],
)
def test_a_broken_rule_breaks_its_check(corrupted, check, build, corpus, broken):
    made = build(MaskedSeq2Seq)
    pairs = [(rows, corrupted(batch, rows)) for rows, batch in pairs_of(made, corpus[:4])]
    assert check in broken(objective_checks(made), pairs)


def test_neither_side_alone_knows_the_text(build, pack):
    """With masks only: the source lacks the fragment, the decoder all else and its last token."""
    made = build(MaskedSeq2Seq, replacement=Replacement(1.0, 0.0))
    rows = pack([[(0, 12)]], 12)
    batch = made.corrupt(rows)
    hit = batch.weights[0] > 0
    assert hit.sum() == 5 and (batch.source[0][hit] == 4).all()
    assert (batch.source[0][~hit] == rows.tokens[0][~hit]).all()
    first = np.flatnonzero(hit)[0]
    assert (batch.tokens[0][1:][hit[:-1]] == rows.tokens[0][:-1][hit[:-1]]).all()
    assert batch.tokens[0, 0] == 3 and (batch.tokens[0, 1 : first + 1] == 4).all()
