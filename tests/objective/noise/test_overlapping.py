"""Overlapping spans: figures of both implementations, their exact expectation, a refused rate."""

import numpy as np
import pytest

from fxformer.evaluate.audit.check import judge
from fxformer.evaluate.audit.checks.all import noise_checks
from fxformer.objective.noise.infill import TextInfilling
from fxformer.objective.noise.overlap import covered
from fxformer.objective.noise.overlapping import OverlappingInfilling, _expected
from fxformer.objective.noise.scatter import ScatteredInfilling

BOTH = [OverlappingInfilling(), ScatteredInfilling()]


def check(noise, vocabulary, words):
    (found,) = (check for check in noise_checks(noise, vocabulary) if check.name.startswith(words))
    return found


@pytest.mark.parametrize("noise", [*BOTH, OverlappingInfilling(0.5, 1.5), ScatteredInfilling(0.1)])
def test_its_own_laws_hold(noise, corrupt_with, corpus, vocabulary, broken):
    assert broken(noise_checks(noise, vocabulary), corrupt_with(noise, corpus)) == set()


@pytest.mark.parametrize("noise, figure", [(BOTH[0], 0.267), (BOTH[1], 0.266)])
def test_less_is_hidden_than_the_paper_says(noise, figure, corrupt_with, pack, vocabulary):
    batches = [pack([[(64 * n + row, 514)] for row in range(64)], 514) for n in range(10)]
    pairs = corrupt_with(noise, batches)
    own = judge(check(noise, vocabulary, "hidden share of 512"), pairs)
    paper = judge(check(TextInfilling(), vocabulary, "hidden share"), pairs)
    assert own.holds and own.check.nominal == pytest.approx(figure, abs=5e-4)
    assert not paper.holds and paper.high < 0.28
    before, after = pairs[0]
    shares = 1 - np.bincount(after.piece[after.origin >= 0], minlength=64) / 512
    spread = 0.010 if noise is BOTH[0] else 0.048  # a budget for each piece, or for the batch
    assert shares.std() == pytest.approx(spread, rel=0.35)


def test_a_sound_infilling_breaks_their_check(corrupt_with, corpus, vocabulary):
    for noise in BOTH:
        assert not judge(
            check(noise, vocabulary, "hidden share"), corrupt_with(TextInfilling(), corpus)
        ).holds


@pytest.mark.parametrize("number, budget, spans", [(6, 3, 2), (12, 4, 2), (20, 7, 3), (5, 5, 1)])
def test_the_expectation_is_that_of_the_definition(number, budget, spans):
    generator, seen = np.random.default_rng(0), []
    for _ in range(4000):
        place = generator.permutation(number)[:spans]
        length = generator.multinomial(budget, [1 / spans] * spans)
        lies = np.zeros((spans, number), bool)
        for span, (at, size) in enumerate(zip(place, length, strict=True)):
            lies[span, at : at + size] = True
        marks = sum(not lies[np.arange(spans) != n, at].any() for n, at in enumerate(place))
        seen.append((lies.any(0).sum(), marks))
    error = np.std(seen, axis=0) / np.sqrt(len(seen)) + 1e-9
    assert (np.abs(np.mean(seen, axis=0) - _expected(number, budget, spans)) < 4.5 * error).all()


def test_a_span_ends_with_its_piece():
    piece = np.array([0, 0, 0, 1, 1])
    inside = covered(np.arange(5), piece, np.array([0, 3, 0, 0, 0]))
    assert inside.tolist() == [False, False, True, False, False]


def test_a_mark_of_an_empty_span_may_be_left_out(corrupt_with, corpus):
    before, after = corrupt_with(OverlappingInfilling(), corpus)[0]
    marks = after.origin < 0
    assert after.spare.any() and not after.spare[~marks].any()
    assert not corrupt_with(ScatteredInfilling(), corpus)[0][1].spare.any()


@pytest.mark.parametrize("kind", [OverlappingInfilling, ScatteredInfilling])
def test_spans_of_less_than_one_token_are_refused(kind):
    with pytest.raises(ValueError, match="length=3"):
        kind(length=0.5)


def test_room_for_masks_of_empty_spans():
    assert OverlappingInfilling().growth(512) == 0
    assert 40 < OverlappingInfilling(0.3, 1.0).growth(512) < 154
