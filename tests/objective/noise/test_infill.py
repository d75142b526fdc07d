"""Text infilling: budget, Poisson lengths with their zeros, places; and how each is got wrong."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from fxformer.evaluate.audit.checks.all import noise_checks
from fxformer.objective.noise.infill import TextInfilling
from fxformer.objective.pieces import pieces_of


class NoZeros(TextInfilling):
    """Broken as an older collator: spans of length zero are dropped."""

    def _spans(self, budget, draws):
        piece, lengths = super()._spans(budget, draws)
        return piece[lengths > 0], lengths[lengths > 0]


class Clamped(TextInfilling):
    """Broken: lengths above six are cut to six, the rest of the span stays visible."""

    def _spans(self, budget, draws):
        piece, lengths = super()._spans(budget, draws)
        return piece, np.minimum(lengths, 6)


class Overlapping(TextInfilling):
    """Broken as fairseq: spans overlap, so that one token in ten of the budget is not hidden."""

    def _spans(self, budget, draws):
        return super()._spans((budget * 0.9).astype(np.int64), draws)


class Geometric(TextInfilling):
    """Broken: another check with the same mean."""

    def _spans(self, budget, draws):
        class Other(type(draws)):
            def at(self, index):
                return Other(self.keys[index])

            def poisson(self, stream, mean, position=0):
                return self.geometric(stream, 1 / (1 + mean), position) - 1

        return super()._spans(budget, Other(draws.keys))


class Leftmost(TextInfilling):
    """Broken: spans gather at the beginning of a piece."""

    def _placed(self, pieces, piece, lengths, draws, words):
        class Biased(type(draws)):
            def at(self, index):
                return Biased(self.keys[index])

            def bits(self, stream, position=0):
                bits = super().bits(stream, position)
                early = np.asarray(position) < 3
                return np.where(early, bits >> np.uint64(1), bits) if stream == "place" else bits

        return super()._placed(pieces, piece, lengths, Biased(draws.keys), words)


class MaskEach(TextInfilling):
    """Broken: a mask for each hidden token."""

    def _spans(self, budget, draws):
        piece = np.repeat(np.arange(len(budget)), budget)
        return piece, np.ones(len(piece), np.int64)


class Shouting(TextInfilling):
    """Broken: marks are random tokens where masks were promised."""

    def _marks(self, keys, rank, words):
        return TextInfilling(random=0.05)._marks(keys, rank, words)


ZEROS = "spans of 0, per piece, beyond those expected"
NOISES = [
    TextInfilling(),
    TextInfilling(0.35, 3.5, 0.1),
    TextInfilling(0.8, 8),
    TextInfilling(0.2, 0.7),
]


@pytest.mark.parametrize("noise", NOISES)
def test_the_checks_hold(noise, corpus, corrupt_with, broken, vocabulary):
    assert broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus)) == set()


@pytest.mark.parametrize(
    "noise, check",
    [
        (NoZeros(), ZEROS),
        (NoZeros(), "marks beyond those expected, per piece"),
        (Clamped(), "hidden tokens off rate·m by one or more"),
        (Clamped(), "spans of 7, per piece, beyond those expected"),
        (Overlapping(), "hidden share"),
        (Overlapping(), "hidden tokens off rate·m by one or more"),
        (Geometric(), ZEROS),
        (Geometric(), "spans of 3, per piece, beyond those expected"),
        (Leftmost(), "a mark comes first, beyond chance"),
        (MaskEach(), "marks beyond those expected, per piece"),
        (Shouting(), "marks that are masks, and random tokens"),
    ],
)
@pytest.mark.sample(3)
def test_a_broken_rule_breaks_its_check(noise, check, corpus, corrupt_with, broken, vocabulary):
    assert check in broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus))


def test_drawn_lengths_are_poisson_to_the_last():
    """Before the last of a piece is cut to fit, all 100,000 lengths together are Poisson(3)."""
    from fxformer.objective.counter_rng import CounterRNG

    budget = np.full(2000, 153)
    piece, lengths = TextInfilling()._spans(budget, CounterRNG.of(0, 0, np.arange(2000)))
    assert (np.bincount(piece, weights=lengths) == 153).all()
    inner = np.append(piece[1:] == piece[:-1], False)
    whole = CounterRNG.of(0, 0, np.arange(2000)).at(piece)
    first = np.searchsorted(piece, piece)
    drawn = whole.poisson("length", 3.0, np.arange(len(piece)) - first)
    assert (drawn[inner] == lengths[inner]).all() and (drawn >= lengths).all()
    counts = np.bincount(np.minimum(drawn, 10), minlength=11)
    nominal = np.append(stats.poisson.pmf(np.arange(10), 3), stats.poisson.sf(9, 3))
    assert counts.sum() > 1e5
    assert stats.chisquare(counts, nominal * counts.sum()).pvalue > 1e-6


def test_every_arrangement_is_equally_likely(pack, vocabulary):
    """Four tokens, two hidden: which stay, for the pieces with one span of two, in 3 places."""
    rows = pack([[(32 * r + i, 6) for i in range(32)] for r in range(400)], 192)
    rows.tokens[:] = np.tile([2, 100, 101, 102, 103, 3], (400, 32))
    pieces = pieces_of(rows, vocabulary)
    after = TextInfilling(0.5, 3.0)(pieces, pieces.draws(0, 0), vocabulary)
    texts = [tuple(part) for part in np.split(after.tokens, np.cumsum(after.lengths)[:-1])]
    short = [text for text in texts if len(text) == 5]
    kept, counts = np.unique(short, axis=0, return_counts=True)
    assert len(kept) == 3
    assert stats.chisquare(counts).pvalue > 1e-6


def test_marks_stay_between_the_special_tokens(corpus, corrupt_with, vocabulary):
    for before, after in corrupt_with(TextInfilling(0.3, 0.5), corpus[:4]):
        first = np.cumsum(after.lengths) - after.lengths
        assert (after.tokens[first] == vocabulary.bos).all()
        assert (after.tokens[first + after.lengths - 1] == vocabulary.eos).all()
        assert (after.spare <= (after.origin < 0)).all()
        assert before.count == after.count


def test_a_special_token_inside_the_text_stays(pack, vocabulary):
    rows = pack([[(r, 60)] for r in range(50)], 64)
    rows.tokens[:, 30] = vocabulary.unk
    pieces = pieces_of(rows, vocabulary)
    after = TextInfilling(0.6)(pieces, pieces.draws(0, 0), vocabulary)
    assert np.count_nonzero(after.tokens == vocabulary.unk) == 50


def test_growth_is_enough_for_a_full_row(pack, vocabulary):
    assert TextInfilling().growth(512) == TextInfilling(0.3, 3.5).growth(64) == 0
    rows = pack([[(r, 128)] for r in range(500)], 128)
    for noise in (TextInfilling(0.3, 0.7), TextInfilling(0.5, 0.3)):
        pieces = pieces_of(rows, vocabulary)
        after = noise(pieces, pieces.draws(0, 0), vocabulary)
        assert 128 < after.lengths.max() <= 128 + noise.growth(128)


def test_knobs_are_its_identity():
    assert TextInfilling() == dataclasses.replace(TextInfilling(rate=0.1), rate=0.3)
    assert hash(TextInfilling()) == hash(TextInfilling())
