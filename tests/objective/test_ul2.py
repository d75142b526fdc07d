"""UL2: shares and checks of the denoisers, mode tokens, and how each can be broken."""

import dataclasses

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import masking_checks, objective_checks
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.masking.base import Masked
from fxformer.objective.masking.random_spans import RandomSpans, Suffix
from fxformer.objective.pieces import pieces_of
from fxformer.objective.ul2 import Denoiser, Mixed, MixtureOfDenoisers

PARTS = [
    Denoiser(RandomSpans(0.15, 3.0), mode=0),
    Denoiser(RandomSpans(0.5, 8.0), mode=1, weight=2.0),
    Denoiser(Suffix(), mode=2),
]


class Fixed(Suffix):
    """Broken: always the mean."""

    def __call__(self, pieces, draws):
        return _last(pieces, np.maximum((self.longest(pieces.free_lengths) + 1) // 2, 0))


class Greedy(Suffix):
    """Broken: always the longest, and a token more."""

    def __call__(self, pieces, draws):
        return _last(pieces, self.longest(pieces.free_lengths) + 1)


class Inner(Suffix):
    """Broken: a token before the end."""

    def __call__(self, pieces, draws):
        hidden = super().__call__(pieces, draws)
        return Masked(hidden.index - 1, hidden.span)


def _last(pieces, size):
    free = np.flatnonzero(pieces.free)
    piece = pieces.piece[free]
    rank = np.arange(len(free)) - np.searchsorted(piece, piece)
    index = free[rank >= (pieces.free_lengths - size)[piece]]
    return Masked(index, np.zeros(len(index), int))


class Tilted(Mixed):
    """Broken: other shares than it says."""

    def __call__(self, pieces, draws):
        parts = (dataclasses.replace(self.denoisers[0], weight=2.0), *self.denoisers[1:])
        return Mixed(parts)(pieces, draws)


def hidden_in(masking, batches, vocabulary):
    for rows in batches:
        pieces = pieces_of(rows, vocabulary)
        yield pieces, masking(pieces, pieces.draws(rows.seed, rows.epoch))


def test_the_checks_of_a_suffix_hold(corpus, vocabulary, broken):
    assert broken(masking_checks(Suffix()), hidden_in(Suffix(), corpus, vocabulary)) == set()


@pytest.mark.parametrize(
    "masking, check",
    [
        (Fixed(), "spread of the suffix, beyond that of a uniform one"),
        (Greedy(), "suffixes of no token, or of too many"),
        (Greedy(), "length of the suffix, from shortest to longest"),
        (Inner(), "hidden tokens before one that stays"),
    ],
)
def test_a_broken_suffix_breaks_its_check(masking, check, corpus, vocabulary, broken):
    assert check in broken(masking_checks(Suffix()), hidden_in(masking, corpus, vocabulary))


def test_the_checks_of_the_mixture_hold(build, marked, corpus, broken):
    made = build(MixtureOfDenoisers, denoisers=PARTS, words=marked)
    assert broken(objective_checks(made), [(rows, made.corrupt(rows)) for rows in corpus]) == set()


def test_other_shares_are_seen(corpus, vocabulary, broken):
    mixed = Mixed(tuple(PARTS))
    pairs = hidden_in(Tilted(tuple(PARTS)), corpus, vocabulary)
    assert "shares of the denoisers" in broken(masking_checks(mixed), pairs)


def test_a_denoisers_own_law_is_seen_in_the_mixture(corpus, vocabulary, broken):
    corrupted = (*PARTS[:2], Denoiser(Fixed(), mode=2))
    pairs = hidden_in(Mixed(corrupted), corpus * 2, vocabulary)
    check = "denoiser 2: spread of the suffix, beyond that of a uniform one"
    assert check in broken(masking_checks(Mixed(tuple(PARTS))), pairs)


def test_a_wrong_mode_token_is_seen(build, marked, corpus, broken):
    made = build(MixtureOfDenoisers, denoisers=PARTS, words=marked)
    r, x, s = marked.sentinels[-3:]
    batch = made.corrupt(corpus[0])
    for source in (np.where(batch.source == s, r, batch.source), np.roll(batch.source, 1, 1)):
        wrong = dataclasses.replace(batch, source=source)
        assert "sources without their mode token in front" in broken(
            objective_checks(made), [(corpus[0], wrong)]
        )


def test_modes_are_the_last_sentinels_and_marks_are_not(build, marked, pack):
    made = build(MixtureOfDenoisers, denoisers=PARTS, words=marked)
    batch = made.corrupt(pack([[(i, 60)] for i in range(40)], 64))
    assert set(batch.source[:, 0]) == set(marked.sentinels[-3:])
    assert not np.isin(batch.targets, marked.sentinels[-3:]).any()
    assert batch.source.shape == (40, 66) == (40, made.source_length(64))


def test_a_mode_that_is_not_there_names_the_override(build, marked):
    with pytest.raises(ValueError, match="write objective.modes=4"):
        build(MixtureOfDenoisers, denoisers=[Denoiser(Suffix(), mode=3)], words=marked)
    few = dataclasses.replace(marked, sentinels=marked.sentinels[:50])
    with pytest.raises(ValueError, match="sentinels=68"):
        build(
            MixtureOfDenoisers, denoisers=[Denoiser(RandomSpans(0.5, 4.0))], words=few
        ).row_length(512)


def test_the_draw_of_a_denoiser_is_of_the_piece_alone(vocabulary, pack):
    mixed = Mixed(tuple(PARTS))
    pieces = pieces_of(pack([[(5, 30), (9, 20)], [(7, 40)]], 64), vocabulary)
    kind = mixed(pieces, pieces.draws(0, 0)).kind
    for example, one in zip(pieces.example, kind, strict=True):
        alone = pieces_of(pack([[(example, 30)]], 64), vocabulary)
        assert mixed(alone, CounterRNG.of(0, 0, np.array([example]))).kind[0] == one
