"""Denoising: the noises composed, the pairing of source and target, and rows that are too full."""

import dataclasses
import itertools

import numpy as np
import pytest

from fxformer.evaluate.audit.checks.all import objective_checks
from fxformer.objective.denoise import DenoisingLM
from fxformer.objective.noise.delete import TokenDeletion
from fxformer.objective.noise.infill import TextInfilling
from fxformer.objective.noise.mask import TokenMasking
from fxformer.objective.noise.permute import SentencePermutation
from fxformer.objective.noise.rotate import DocumentRotation

ONE_EACH = [
    SentencePermutation(),
    TextInfilling(),
    TokenMasking(),
    TokenDeletion(),
    DocumentRotation(),
]
PAPER = [SentencePermutation(), TextInfilling()]
LISTS = [PAPER, ONE_EACH, ONE_EACH[::-1], [TextInfilling(), TextInfilling()], []]


def change(**changes):
    def corrupted(batch):
        return dataclasses.replace(batch, **{n: f(batch) for n, f in changes.items()})

    return corrupted


@pytest.mark.parametrize("noises", LISTS)
@pytest.mark.sample(3)
def test_the_checks_hold_at_every_stage(noises, build, corpus, broken):
    objective = build(DenoisingLM, noises=noises)
    pairs = [(rows, objective.corrupt(rows)) for rows in corpus[:6]]
    assert broken(objective_checks(objective), pairs) == set()


@pytest.mark.parametrize(
    "corrupted, check",
    [
        (
            change(source=lambda b: np.roll(b.source, 1, 1)),
            "source other than the corrupted pieces",
        ),
        (
            change(source_segments=lambda b: np.minimum(b.source_segments, 1)),
            "source other than the corrupted pieces",
        ),
        (
            change(tokens=lambda b: np.where(b.tokens == 3, 2, b.tokens)),
            "pieces whose decoder does not begin with the start token",
        ),
        (change(tokens=lambda b: b.targets), "decoder inputs other than the token before"),
        (change(targets=lambda b: b.tokens), "targets other than the original"),
        (
            change(weights=lambda b: b.weights * (b.targets != b.tokens)),
            "tokens of the text that do not count, or padding that does",
        ),
        (
            change(weights=lambda b: np.ones_like(b.weights)),
            "tokens of the text that do not count, or padding that does",
        ),
    ],
)
def test_a_broken_rule_breaks_its_check(corrupted, check, build, corpus, broken):
    objective = build(DenoisingLM, noises=PAPER)
    pairs = [(rows, corrupted(objective.corrupt(rows))) for rows in corpus[:4]]
    assert check in broken(objective_checks(objective), pairs)


def test_the_released_order_of_any_three_noises_composes(build, corpus):
    for noises in itertools.permutations(ONE_EACH, 3):
        batch = build(DenoisingLM, noises=noises).corrupt(corpus[2])
        for row in range(4):
            paired = set(batch.source_segments[row]) - {0}
            assert paired == set(batch.segments[row]) - {0}


def test_the_same_noise_twice_draws_anew(build, corpus):
    once = build(DenoisingLM, noises=[TokenDeletion(0.5)]).corrupt(corpus[0])
    twice = build(DenoisingLM, noises=[TokenDeletion(0.5)] * 2).corrupt(corpus[0])
    left = (twice.source_segments > 0).sum() / (once.source_segments > 0).sum()
    assert 0.45 < left < 0.55


def test_a_row_that_would_not_fit_loses_marks_of_empty_spans_only(build, pack):
    """Rows full of pieces of three ordinary tokens, spans mostly empty: more marks than room."""
    objective = build(DenoisingLM, noises=[TextInfilling(0.3, 0.9)])
    objective.noises = (dataclasses.replace(objective.noises[0], length=0.2),)
    room = objective.source_length
    objective.source_length = lambda length: length + 4
    rows = pack([[(10 * r + i, 5) for i in range(12)] for r in range(50)], 60)
    batch = objective.corrupt(rows)
    assert batch.source.shape == (50, 64) and room(60) > 64
    lost = objective.tally.counts()["marks of empty spans without room"]
    whole = objective.stages(rows)[-1]
    assert lost == len(whole.tokens) - (batch.source_segments > 0).sum() > 0
    ordinary = whole.tokens[~whole.spare]
    kept = batch.source[batch.source_segments > 0]
    assert np.count_nonzero(kept >= 5) == np.count_nonzero(ordinary >= 5)
    assert ((batch.source_segments > 0).sum(1) <= 64).all()


@pytest.mark.parametrize("start, token", [("eos", 3), ("bos", 2), ("pad", 0)])
def test_the_decoder_starts_as_told(start, token, build, corpus):
    batch = build(DenoisingLM, noises=[], start=start).corrupt(corpus[0])
    assert (batch.tokens[:, 0] == token).all()
