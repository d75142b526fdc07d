"""The draw of an example depends on (seed, epoch, example) alone, for every objective."""

import dataclasses

import numpy as np
import pytest

from fxformer.objective.denoise import DenoisingLM
from fxformer.objective.masked import MaskedLM
from fxformer.objective.masking.gap_sentences import GapSentences
from fxformer.objective.masking.random_spans import RandomSpans, Suffix
from fxformer.objective.masking.tokens import ExactCount, Independent
from fxformer.objective.masking.whole_words import WholeWords
from fxformer.objective.masking.word_spans import Spans
from fxformer.objective.mass import MaskedSeq2Seq
from fxformer.objective.noise.delete import TokenDeletion
from fxformer.objective.noise.infill import TextInfilling
from fxformer.objective.noise.mask import TokenMasking
from fxformer.objective.noise.permute import SentencePermutation
from fxformer.objective.noise.rotate import DocumentRotation
from fxformer.objective.noise.shuffle import TokenShuffling
from fxformer.objective.pegasus import GapSentenceGeneration
from fxformer.objective.prefix import PrefixSeq2Seq
from fxformer.objective.span_corruption import DropTokens, SpanCorruption
from fxformer.objective.ul2 import Denoiser, MixtureOfDenoisers

CASES = [
    (MaskedLM, {"masking": Independent()}),
    (MaskedLM, {"masking": ExactCount()}),
    (MaskedLM, {"masking": WholeWords()}),
    (MaskedLM, {"masking": Spans()}),
    *(
        (DenoisingLM, {"noises": [noise]})
        for noise in (
            TokenMasking(),
            TokenDeletion(),
            TextInfilling(),
            SentencePermutation(),
            DocumentRotation(),
            TokenShuffling(),
        )
    ),
    (
        DenoisingLM,
        {"noises": [SentencePermutation(0.5), TextInfilling(random=0.1), TokenDeletion()]},
    ),
    (SpanCorruption, {"shortest": 4}),
    (DropTokens, {"shortest": 4}),
    (MaskedSeq2Seq, {}),
    (PrefixSeq2Seq, {}),
    (GapSentenceGeneration, {"masking": GapSentences(0.15, 0.45, 0.2)}),
    (
        MixtureOfDenoisers,
        {"denoisers": [Denoiser(RandomSpans(0.5)), Denoiser(Suffix(), 2)], "shortest": 2},
    ),
]
LENGTHS = {11: 60, 12: 31, 13: 90, 14: 7, 15: 2, 16: 45}


def corrupted(objective, rows):
    """{example: what the model reads of it}, from any packing."""
    batch = objective.corrupt(rows)
    source, segments = batch.source, batch.source_segments
    source, segments = (batch.tokens, batch.segments) if source is None else (source, segments)
    pieces = {}
    for row in range(len(rows.tokens)):
        for segment in set(rows.segments[row]) - {0}:
            example = int(rows.examples[row][rows.segments[row] == segment][0])
            pieces[example] = source[row][segments[row] == segment].tolist()
    return pieces


@pytest.mark.parametrize("objective, knobs", CASES)
def test_packed_padded_or_in_another_batch(objective, knobs, build, pack, marked):
    made = build(objective, words=marked, **knobs)
    alone = {}
    for example, length in LENGTHS.items():
        alone |= corrupted(made, pack([[(example, length)]], 96))
    packed = pack([[(11, 60), (12, 31), (15, 2)], [(16, 45), (14, 7)], [(13, 90)]], 128)
    turned = pack([[(13, 90), (16, 45)], [], [(14, 7), (15, 2), (12, 31), (11, 60)]], 160)
    assert alone == corrupted(made, packed) == corrupted(made, turned)


@pytest.mark.parametrize("objective, knobs", CASES)
def test_seed_and_epoch_draw_anew_and_a_repeat_does_not(objective, knobs, build, pack, marked):
    made = build(objective, words=marked, **knobs)
    rows = pack([[(11, 60), (13, 90)]], 160)
    first = corrupted(made, rows)
    assert (
        first
        == corrupted(made, rows)
        == corrupted(build(objective, words=marked, seed=1, **knobs), rows)
    )
    assert first != corrupted(made, dataclasses.replace(rows, epoch=1))
    assert first != corrupted(made, dataclasses.replace(rows, seed=1))


@pytest.mark.parametrize("objective, knobs", CASES)
def test_the_rows_are_not_written_to(objective, knobs, build, pack, marked):
    rows = pack([[(11, 60), (13, 90)]], 160)
    for field in (rows.tokens, rows.segments, rows.examples):
        field.setflags(write=False)
    batch = build(objective, words=marked, **knobs).corrupt(rows)
    assert not np.shares_memory(batch.tokens, rows.tokens)
