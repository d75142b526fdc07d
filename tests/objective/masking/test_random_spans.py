"""Hidden tokens and spans: numbers, lengths, places, and how each check can be broken."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import masking_checks
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.random_spans import RandomSpans, RandomTokens, _parts
from fxformer.objective.pieces import pieces_of
from fxformer.objective.segments import numbered, starts_of


class Floor(RandomSpans):
    """Broken: rounds down."""

    def counts(self, number):
        tokens, spans = RandomSpans.counts(self, number)
        return np.minimum(tokens, np.maximum((self.rate * number).astype(int), number > 1)), spans


class Many(RandomSpans):
    """Broken: a span more than due."""

    def counts(self, number):
        tokens, spans = RandomSpans.counts(self, number)
        return tokens, np.minimum(spans + 1, np.minimum(tokens, number - tokens))


class Even(RandomSpans):
    """Broken: all parts as equal as can be."""

    def __call__(self, pieces, draws):
        number = pieces.free_lengths
        tokens, spans = self.counts(number)
        piece, rank = numbered(spans)
        safe = np.maximum(spans, 1)[piece]
        hidden = tokens[piece] // safe + (rank < tokens[piece] % safe)
        left = (number - tokens)[piece] // safe + (rank < (number - tokens)[piece] % safe)
        first = (
            np.cumsum(hidden + left) - hidden - starts_of(hidden + left)[starts_of(spans)[piece]]
        )
        span, step = numbered(hidden)
        free = np.flatnonzero(pieces.free)
        index = free[starts_of(number)[piece[span]] + first[span] + step]
        return Masked(index, rank[span])


class Backward(RandomSpans):
    """Broken: begins with a hidden span."""

    def __call__(self, pieces, draws):
        hidden = super().__call__(pieces, draws)
        free = np.flatnonzero(pieces.free)
        number = pieces.free_lengths
        piece = pieces.piece[free]
        rank = np.arange(len(free)) - starts_of(number)[piece]
        mirror = np.zeros(len(pieces.tokens), int)
        mirror[free] = free[starts_of(number)[piece] + number[piece] - 1 - rank]
        order = np.argsort(mirror[hidden.index])
        span = hidden.number(pieces)[pieces.piece[hidden.index]] - 1 - hidden.span
        return Masked(mirror[hidden.index][order], span[order])


class Frugal(RandomTokens):
    """Broken: a lower rate than it says."""

    def __call__(self, pieces, draws):
        return RandomTokens(self.rate * 0.94)(pieces, draws)


class Apart(RandomTokens):
    """Broken: every token a span."""

    def __call__(self, pieces, draws):
        hidden = super().__call__(pieces, draws)
        return dataclasses.replace(hidden, span=np.arange(len(hidden.index)))


class Clumped(RandomTokens):
    """Broken: tokens are hidden by twos."""

    def __call__(self, pieces, draws):
        lots = draws.at(pieces.piece).uniform("hide", pieces.ranks // 2)
        index = np.flatnonzero((lots < self.rate) & pieces.free)
        return Masked(index, np.zeros(len(index), int))


def hidden_in(masking, batches, vocabulary):
    for rows in batches:
        pieces = pieces_of(rows, vocabulary)
        yield pieces, masking(pieces, pieces.draws(rows.seed, rows.epoch))


KINDS = [
    RandomSpans(),
    RandomSpans(0.5, 8.0),
    RandomSpans(0.5, 1.5),
    RandomTokens(),
    RandomTokens(0.5),
]


@pytest.mark.parametrize("masking", KINDS)
def test_the_checks_hold(masking, corpus, vocabulary, broken):
    assert broken(masking_checks(masking), hidden_in(masking, corpus, vocabulary)) == set()


@pytest.mark.parametrize(
    "masking, check",
    [
        (Floor(), "hidden tokens other than round(rate·m)"),
        (Many(), "spans other than round(hidden / length)"),
        (Even(), "spread of the first span, beyond chance"),
        (Even(), "spread of the first gap, beyond chance"),
        (Backward(), "pieces that begin hidden or end unhidden"),
        (Frugal(), "hidden share, the guaranteed tokens aside"),
        (Apart(), "neighbours in different spans"),
        (Clumped(), "hidden neighbours, share of pairs"),
    ],
)
def test_a_broken_rule_breaks_its_check(masking, check, corpus, vocabulary, broken):
    claims = RandomSpans() if isinstance(masking, RandomSpans) else RandomTokens()
    assert check in broken(masking_checks(claims), hidden_in(masking, corpus, vocabulary))


def test_every_cut_is_equally_likely():
    """Five into three: the six cuts 113 122 131 212 221 311."""
    many = 30_000
    draws = CounterRNG.of(0, 0, np.arange(many))
    parts = _parts(np.full(many, 5), np.full(many, 3), draws).reshape(many, 3)
    assert (parts.sum(1) == 5).all() and parts.min() == 1
    counts = np.unique(parts @ [100, 10, 1], return_counts=True)[1]
    assert len(counts) == 6 and (abs(counts - many / 6) < 5 * np.sqrt(many / 6)).all()


def test_the_papers_numbers():
    """512 tokens at 15 % in spans of 3: 77 hidden (76.8) in 26 spans (25.7)."""
    assert RandomSpans().most(512) == (77, 26)
    assert RandomSpans().most(1) == (0, 0) and RandomSpans().most(2) == (1, 1)
