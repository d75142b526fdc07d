"""Objectives that fail their checks on purpose, named as the right ones they are made from."""

import dataclasses

import numpy as np

from fxformer.batch import Batch
from fxformer.objective import causal, denoise, electra, masked, supervised_seq2seq
from fxformer.objective.masking import replacement, tokens
from fxformer.objective.masking.base import Masked
from fxformer.objective.noise import delete, infill, mask, overlapping, permute, rotate, scatter
from fxformer.objective.pieces import Pieces


def mess(before: Pieces, after: Pieces) -> Pieces:
    """Kept tokens move by one across borders and ends; some change, some come twice, some never."""
    kept = np.flatnonzero(after.origin >= 0)
    origin = after.origin.copy()
    origin[kept] = origin[np.roll(kept, 1)]
    twice = kept[1::5]
    origin[twice] = origin[twice - 1]
    origin = np.where(after.origin >= 0, np.abs(origin), -1)
    tokens = np.where(origin >= 0, before.tokens[origin], after.tokens)
    tokens[kept[::3]] = np.maximum(tokens[kept[::3]] - 1, 1)
    return dataclasses.replace(after, tokens=tokens.astype(np.int32), origin=origin)


class SentencePermutation(permute.SentencePermutation):
    def __call__(self, pieces, draws, vocabulary):
        return mess(pieces, pieces)


class TextInfilling(infill.TextInfilling):
    """Too much, too long, random and special marks, and in every third piece all marks first."""

    def __call__(self, pieces, draws, vocabulary):
        corrupted = infill.TextInfilling(0.6, 5.0, 0.5)(pieces, draws, vocabulary)
        marks_first = np.lexsort(
            ((corrupted.origin >= 0) & (corrupted.piece % 3 == 0), corrupted.piece)
        )
        origin = corrupted.origin[marks_first]
        corrupted = dataclasses.replace(corrupted.take(marks_first), origin=origin)
        corrupted.tokens[np.flatnonzero(origin < 0)[::4]] = vocabulary.eos
        return mess(pieces, corrupted)


class TokenMasking(mask.TokenMasking):
    def __call__(self, pieces, draws, vocabulary):
        often = mask.TokenMasking(0.4, replacement.Replacement(0.5, 0.2))
        corrupted = mess(pieces, often(pieces, draws, vocabulary))
        corrupted.tokens[np.flatnonzero(pieces.free & ~corrupted.free)[::4]] = vocabulary.eos
        return corrupted


class TokenDeletion(delete.TokenDeletion):
    """Too many, with a mark, and sometimes the whole piece."""

    def __call__(self, pieces, draws, vocabulary):
        corrupted = mess(pieces, delete.TokenDeletion(0.5)(pieces, draws, vocabulary))
        corrupted.origin[::20] = -1
        gone = corrupted.piece % 3 == 0
        left = dataclasses.replace(
            corrupted.take(np.flatnonzero(~gone)), origin=corrupted.origin[~gone]
        )
        return left


class DocumentRotation(rotate.DocumentRotation):
    def __call__(self, pieces, draws, vocabulary):
        return mess(pieces, rotate.DocumentRotation(0.5)(pieces, draws, vocabulary))


class OverlappingInfilling(overlapping.OverlappingInfilling):
    """Infilling by another's rule, with marks that are no masks."""

    def __call__(self, pieces, draws, vocabulary):
        return _other_marks(pieces, infill.TextInfilling(0.3, 3.0)(pieces, draws, vocabulary))


class ScatteredInfilling(scatter.ScatteredInfilling):
    def __call__(self, pieces, draws, vocabulary):
        return _other_marks(pieces, infill.TextInfilling(0.3, 3.0)(pieces, draws, vocabulary))


def _other_marks(pieces: Pieces, corrupted: Pieces) -> Pieces:
    corrupted.tokens[np.flatnonzero(corrupted.origin < 0)[::4]] += 1
    return mess(pieces, corrupted)


def upset(batch: Batch) -> Batch:
    """Input and answer exchanged, every second target of every second row counted, the source moved
    by one."""
    row, column = np.indices(batch.tokens.shape)
    counts = column % 2 * (row % 2)
    source = None if batch.source is None else np.roll(batch.source, 1, axis=1)
    return batch.replace(
        tokens=batch.targets,
        targets=batch.tokens,
        weights=counts.astype(np.float32),
        source=source,
    )


class DenoisingLM(denoise.DenoisingLM):
    def corrupt(self, rows):
        return upset(super().corrupt(rows))


class Seq2SeqLM(supervised_seq2seq.Seq2SeqLM):
    def corrupt(self, rows):
        return upset(super().corrupt(rows))


class TokenLabel(supervised_seq2seq.TokenLabel):
    def corrupt(self, rows):
        return upset(super().corrupt(rows))


class CausalLM(causal.CausalLM):
    def corrupt(self, rows):
        return upset(super().corrupt(rows))


class First(tokens.ExactCount):
    """The first tokens of a piece, its special one too, and none of every third piece."""

    def __call__(self, pieces, draws):
        return Masked.single(pieces, np.flatnonzero((pieces.ranks < 3) & (pieces.piece % 3 > 0)))


class FirstByCoin(tokens.Independent):
    def __call__(self, pieces, draws):
        return Masked.single(pieces, np.flatnonzero((pieces.ranks < 6) & (pieces.piece % 3 > 0)))


class Replacement(replacement.Replacement):
    """Mostly the same random token, often a special one."""

    def __call__(self, tokens, draws, ranks, vocabulary, units=None):
        shown = np.full(len(tokens), vocabulary.ordinary[3], np.int32)
        shown[::3] = vocabulary.eos
        return shown


class MaskedLM(masked.MaskedLM):
    def corrupt(self, rows):
        batch = super().corrupt(rows)
        return batch.replace(
            tokens=np.where(batch.tokens == 9, 10, batch.tokens), targets=batch.targets + 1
        )


class ReplacedTokenDetection(electra.ReplacedTokenDetection):
    """Masked LM's faults; the same bits for all tokens, and a balance of its own."""

    def corrupt(self, rows):
        batch = super().corrupt(rows)
        return batch.replace(
            tokens=np.where(batch.tokens == 9, 10, batch.tokens),
            targets=batch.targets + 1,
            noise=np.zeros_like(batch.noise),
            balance=batch.balance + 1,
        )
