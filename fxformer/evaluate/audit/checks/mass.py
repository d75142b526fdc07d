"""Checks of MASS and of the fragments of ProphetNet."""

import functools
from typing import cast

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks.dispatch import objective_checks
from fxformer.evaluate.audit.checks.masked import replacement_checks
from fxformer.objective.mass import MaskedSeq2Seq
from fxformer.objective.pieces import Pieces, pieces_of
from fxformer.objective.segments import counts_of


@objective_checks.register
def masked_seq2seq(objective: MaskedSeq2Seq) -> tuple[Check, ...]:
    """One fragment, its size and place; what each side can see."""
    return (
        Check(
            "tokens of the fragment other than round(rate·m)",
            0.0,
            functools.partial(_size, objective),
            "exact",
        ),
        Check(
            "fragments in more than one part", 0.0, functools.partial(_parts, objective), "exact"
        ),
        Check(
            "place of the fragment, from first to last",
            0.5,
            functools.partial(_place, objective),
            "mean",
        ),
        Check("source tokens changed outside the fragment", 0.0, _strays, "exact"),
        Check("targets other than the original", 0.0, _wrong, "exact"),
        Check(
            "decoder inputs other than mask or fragment",
            0.0,
            functools.partial(_leaks, objective),
            "exact",
        ),
        *(
            check.through(_swapped)
            for check in replacement_checks(objective.replacement, objective.vocabulary)
        ),
    )


def _seen(
    objective: MaskedSeq2Seq, rows: Rows, batch: Batch
) -> tuple[Pieces, np.ndarray, np.ndarray]:
    """The pieces; of their ordinary tokens: which are targets, and in which block they are."""
    pieces = pieces_of(rows, objective.vocabulary)
    free = np.flatnonzero(pieces.free)
    hit = batch.weights.reshape(-1)[np.flatnonzero(rows.segments)[free]] > 0
    return pieces, hit, objective.blocks(pieces)[0]


def _size(objective: MaskedSeq2Seq, rows: Rows, batch: Batch) -> np.ndarray:
    pieces, hit, part = _seen(objective, rows, batch)
    number = objective.blocks(pieces)[2]
    special = np.count_nonzero(batch.weights) - np.count_nonzero(hit)
    off = counts_of(part, len(number), hit) - objective.due(number)
    return np.append(off, special)


def _parts(objective: MaskedSeq2Seq, rows: Rows, batch: Batch) -> np.ndarray:
    pieces, hit, part = _seen(objective, rows, batch)
    begins = hit.copy()
    begins[1:] &= ~hit[:-1] | (part[1:] != part[:-1])
    return counts_of(part, len(objective.blocks(pieces)[2]), begins) > 1


def _place(objective: MaskedSeq2Seq, rows: Rows, batch: Batch) -> np.ndarray:
    pieces, hit, part = _seen(objective, rows, batch)
    _, rank, number = objective.blocks(pieces)
    first = np.full(len(number), np.iinfo(np.int64).max)
    np.minimum.at(first, part[hit], rank[hit])
    spare = number - objective.due(number)
    return first[spare > 0] / spare[spare > 0]


def _leaks(objective: MaskedSeq2Seq, rows: Rows, batch: Batch) -> np.ndarray:
    """A decoder input is the start token, or the token before if it is a target, or a mask."""
    inside = rows.segments > 0
    same = inside[:, 1:] & (rows.segments[:, 1:] == rows.segments[:, :-1])
    mask = cast(int, objective.vocabulary.mask)
    shown = np.where(batch.weights > 0, rows.tokens, mask)[:, :-1]
    right = np.full(rows.tokens.shape, getattr(objective.vocabulary, objective.start))
    right[:, 1:] = np.where(same, shown, right[:, 1:])
    return (batch.tokens != right)[inside]


def _strays(rows: Rows, batch: Batch) -> np.ndarray:
    return (batch.source != rows.tokens)[np.asarray(batch.weights) == 0]


def _wrong(rows: Rows, batch: Batch) -> np.ndarray:
    return (batch.targets != rows.tokens)[np.asarray(batch.weights) > 0]


def _swapped(rows: Rows, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    hit = np.asarray(batch.weights) > 0
    return rows.tokens[hit], batch.source[hit]
