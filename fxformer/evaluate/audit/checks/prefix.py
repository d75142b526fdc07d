"""Checks of prefix language modelling: the split, the prefix and the targets."""

from typing import Any

import numpy as np

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.evaluate.audit.check import Check
from fxformer.evaluate.audit.checks.causal import across, not_next, scored
from fxformer.evaluate.audit.checks.dispatch import objective_checks
from fxformer.evaluate.audit.checks.shift_right import answer_checks
from fxformer.objective.pieces import pieces_of
from fxformer.objective.prefix import PrefixLM, PrefixSeq2Seq


def prefix_checks(vocabulary: Vocabulary) -> tuple[Check, ...]:
    """Checks of `PrefixLM`, between rows [B, T+1] and batch [B, T]."""

    def split(rows: Rows, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        pieces = pieces_of(rows, vocabulary)
        prefix = _whole(batch)[rows.segments > 0]
        return np.bincount(pieces.piece, weights=prefix, minlength=pieces.count), pieces.lengths

    def ragged(rows: Rows, batch: Batch) -> np.ndarray:
        """Tokens of a prefix behind one that is not, and padding in it."""
        prefix = _whole(batch)
        same = rows.segments[:, 1:] == rows.segments[:, :-1]
        return (same & prefix[:, 1:] & ~prefix[:, :-1]) | (prefix & (rows.segments == 0))[:, 1:]

    def cover(rows: Rows, batch: Batch) -> np.ndarray:
        """Every scored token behind a prefix is a target, and no other is."""
        inside = (rows.segments[:, 1:] == rows.segments[:, :-1]) & (rows.segments[:, 1:] > 0)
        wanted = inside & scored(rows)[:, 1:] & ~_whole(batch)[:, 1:]
        return ((batch.weights == 1) != wanted).ravel()

    def changed(rows: Rows, batch: Batch) -> np.ndarray:
        return (rows.tokens[:, :-1] != batch.tokens).ravel()

    return (
        Check("targets other than the next token", 0.0, not_next, "exact"),
        Check("targets across pieces or in padding", 0.0, across, "exact"),
        Check("targets inside a prefix, or missing behind it", 0.0, cover, "exact"),
        Check("prefixes that are not the beginning of a piece", 0.0, ragged, "exact"),
        Check("tokens changed", 0.0, changed, "exact"),
        *_uniform(split),
    )


def split_checks(objective: Any) -> tuple[Check, ...]:
    """Checks of `PrefixSeq2Seq`, between rows and batch."""

    def split(rows: Rows, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        pieces = pieces_of(rows, objective.vocabulary)
        top = int(pieces.segment.max(initial=0)) + 1
        row, _ = np.nonzero(batch.source_segments)
        key = row * top + batch.source_segments[batch.source_segments > 0]
        number = np.bincount(key, minlength=len(rows.tokens) * top)
        return number[pieces.row * top + pieces.segment], pieces.lengths

    def torn(rows: Rows, batch: Batch) -> np.ndarray:
        """Source and target of a piece, one after the other, are the piece."""
        sides = (batch.source, batch.source_segments), (batch.targets, batch.segments)
        parts = [
            (tokens[segments > 0], np.nonzero(segments)[0], segments[segments > 0])
            for tokens, segments in sides
        ]
        text, row, segment = (np.concatenate(part) for part in zip(*parts, strict=True))
        both = text[np.lexsort((segment, row))]  # stable: the source comes first
        right = rows.tokens[rows.segments > 0]
        return both != right if len(both) == len(right) else np.ones(1, bool)

    def view(rows: Rows, batch: Batch) -> tuple[Rows, Batch]:
        segments = np.asarray(batch.segments)
        return Rows(np.where(segments > 0, batch.targets, 0), segments, segments), batch

    start = getattr(objective.vocabulary, objective.start)
    return (
        Check("source and target one after the other are not the text", 0.0, torn, "exact"),
        *_uniform(split),
        *(check.through(view) for check in answer_checks(start)),
    )


def _uniform(split: Any) -> tuple[Check, ...]:
    """The split k = prefix - 1 is uniform on 0 … N, N = n - 2: its mean, and that of its square."""

    def place(rows: Rows, batch: Batch) -> np.ndarray:
        prefix, length = split(rows, batch)
        return (prefix - 1)[length > 2] / (length - 2)[length > 2]

    def square(rows: Rows, batch: Batch) -> np.ndarray:
        top = split(rows, batch)[1] - 2
        top = top[top > 0]
        return place(rows, batch) ** 2 - (2 * top + 1) / (6 * top)

    def empty(rows: Rows, batch: Batch) -> np.ndarray:
        prefix, length = split(rows, batch)
        return (prefix < 1) | (prefix >= np.maximum(length, 2))

    return (
        Check("sides without a token", 0.0, empty, "exact"),
        Check("place of the split, from first to last", 0.5, place, "mean"),
        Check("spread of the split, beyond that of a uniform one", 0.0, square, "mean"),
    )


def _whole(batch: Batch) -> np.ndarray:
    """The prefix with a place for the last token of a row, which is never in it. [B, T+1] bool."""
    return np.pad(np.asarray(batch.prefix), ((0, 0), (0, 1)))


@objective_checks.register
def prefix_lm(objective: PrefixLM) -> tuple[Check, ...]:
    """What is prefix, what is a target, and that it is the next token."""
    return prefix_checks(objective.vocabulary)


@objective_checks.register
def prefix_seq2seq(objective: PrefixSeq2Seq) -> tuple[Check, ...]:
    """The two sides are the text, cut anywhere; the decoder reads its own target, shifted."""
    return split_checks(objective)
