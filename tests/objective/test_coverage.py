"""That every piece of text is in its batch: what is packed to the limits, and what is lost."""

import dataclasses
import functools

import numpy as np
import pytest

from fxformer.data.documents import Documents, join
from fxformer.data.packing import Segments, Template
from fxformer.evaluate.audit.checks.coverage import whole
from fxformer.evaluate.audit.draw import draw
from fxformer.objective.causal import CausalLM
from fxformer.objective.coverage import NO_ROOM, NO_TARGET, Coverage
from fxformer.objective.fim import FillInTheMiddle
from fxformer.objective.masked import MaskedLM
from fxformer.objective.masking.random_spans import RandomSpans, Suffix
from fxformer.objective.masking.tokens import ExactCount, Independent
from fxformer.objective.masking.whole_words import WholeWords
from fxformer.objective.masking.word_spans import Spans
from fxformer.objective.span_corruption import DropTokens, SpanCorruption
from fxformer.objective.ul2 import Denoiser, MixtureOfDenoisers

MASKED = [
    functools.partial(MaskedLM, masking=kind)
    for kind in (ExactCount(), Independent(), WholeWords(), Spans())
]
DENOISERS = [Denoiser(RandomSpans(0.5), 0), Denoiser(RandomSpans(0.15), 1), Denoiser(Suffix(), 2)]
HIDDEN = [SpanCorruption, DropTokens, functools.partial(MixtureOfDenoisers, denoisers=DENOISERS)]


@pytest.fixture(scope="module")
def clauses(text):
    """1,000 texts of one to six tokens."""
    lengths = np.random.default_rng(5).integers(1, 7, 1000)
    return Documents(*join([text(size + 2, i)[1:-1] for i, size in enumerate(lengths)]))


def made_of(kind, build, marked):
    legal = getattr(kind, "func", kind)
    given = getattr(kind, "keywords", {})
    return build(legal, words=marked, **given)


@pytest.mark.parametrize("kind", [*MASKED, *HIDDEN, FillInTheMiddle, CausalLM])
def test_short_texts_packed_to_the_limits_are_all_in_the_batch(kind, build, marked, clauses):
    made = made_of(kind, build, marked)
    width = made.row_length(128)
    template = Template(0, np.array([2]), np.array([3]), 2, 3, limits=made.limits(width))
    packed = Segments()(clauses, width, template)
    coverage, pairs = Coverage(made), []
    for low in range(0, len(packed), 32):
        rows = packed.rows(np.arange(low, min(low + 32, len(packed))))
        pairs.append((rows, coverage(rows)))
    size = np.diff(clauses.bounds)
    assert coverage.pieces == np.count_nonzero(size > 1)
    assert not coverage.missing and not coverage.lost and not made.tally.counts()
    assert not np.concatenate([whole(made).measure(*pair) for pair in pairs]).any()


def test_what_has_no_room_is_counted_in_tokens(build, marked, clauses):
    made = build(SpanCorruption, words=marked)
    template = Template(
        0, np.array([2]), np.array([3]), 2, 3
    )  # no limits: rows full of short texts
    rows = Segments()(clauses, 128, template).rows(np.arange(8))
    coverage = Coverage(made)
    batch = coverage(rows)
    lost = whole(made).measure(rows, batch)
    assert 0 < lost.sum() == coverage.missing < coverage.pieces == len(lost)
    assert set(coverage.lost) == {NO_ROOM} and coverage.lost[NO_ROOM] >= 2 * lost.sum()


def test_a_piece_without_a_target_is_missed(build, marked, pack):
    made, rows = build(MaskedLM, words=marked), pack([[(0, 20), (1, 30)]], 64)
    batch = made.corrupt(rows)
    made.corrupt = lambda rows: batch.replace(weights=batch.weights * (batch.picked < 20))
    coverage = Coverage(made)
    assert whole(made).measure(rows, coverage(rows)).tolist() == [False, True]
    assert dict(coverage.lost) == {NO_TARGET: 28} and coverage.missing == 1


class Repeated:
    """A sequence of batches that is always the same one."""

    steps_per_epoch = 1

    def __init__(self, rows):
        self.rows = rows

    def __getitem__(self, n):
        return self.rows

    def epoch(self, n):
        return n


def test_the_audit_counts_what_is_lost_once_however_many_rules_there_are(build, marked, clauses):
    made = build(SpanCorruption, words=marked)
    rows = Segments()(clauses, 128, Template(0, np.array([2]), np.array([3]), 2, 3))
    rows = rows.rows(np.arange(8))
    made.corrupt(rows)
    (once,) = made.tally.counts().values()
    seen = draw(made, Repeated(rows), 1, alpha=0.01)
    assert seen.tally == {"pieces without room": once}
    assert seen.findings[0].check.name == whole(made).name and not seen.findings[0].holds


def test_scored_tokens_decide_what_can_have_a_target(build, marked, pack):
    made, rows = build(CausalLM, words=marked), pack([[(0, 20), (1, 30)]], 64)
    scored = np.zeros(rows.tokens.shape, bool)
    scored[:, :10] = True
    rows = dataclasses.replace(rows, scored=scored)
    assert whole(made).measure(rows, made.corrupt(rows)).tolist() == [False]
