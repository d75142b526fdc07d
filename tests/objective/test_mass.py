"""MASS: one fragment, its place, what either side sees, and what breaks each law."""

import dataclasses

import numpy as np
import pytest

from fxformer.objective.mass import MaskedSeq2Seq
from fxformer.objective.replace import Replacement
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
    def spoilt(batch, rows):
        return dataclasses.replace(batch, **{n: f(batch, rows) for n, f in changes.items()})

    return spoilt


def pairs_of(made, batches):
    return [(rows, made.corrupt(rows)) for rows in batches]


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_the_laws_hold(rate, build, corpus, broken):
    made = build(MaskedSeq2Seq, rate=rate)
    assert broken(made.laws(), pairs_of(made, corpus)) == set()


@pytest.mark.parametrize(
    "objective, law",
    [
        (Leftward, "place of the fragment, from first to last"),
        (Torn, "fragments in more than one part"),
        (Torn, "tokens of the fragment other than round(rate·m)"),
    ],
)
def test_a_broken_fragment_breaks_its_law(objective, law, build, corpus, broken):
    made = build(objective)
    assert law in broken(made.laws(), pairs_of(made, corpus[:6]))


@pytest.mark.parametrize(
    "spoilt, law",
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
def test_a_broken_rule_breaks_its_law(spoilt, law, build, corpus, broken):
    made = build(MaskedSeq2Seq)
    pairs = [(rows, spoilt(batch, rows)) for rows, batch in pairs_of(made, corpus[:4])]
    assert law in broken(made.laws(), pairs)


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
