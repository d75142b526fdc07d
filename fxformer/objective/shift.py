"""What the decoder of a seq2seq model reads and answers: the target shifted right; the target."""

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.objective.causal import scored
from fxformer.objective.law import Law


def answer(rows: Rows, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(tokens, targets, weights) [B, T]: each piece shifted right, itself, and what counts.

    `start` comes first. Every token of a piece is a target, its special tokens too, unless
    `rows.scored` leaves it out. Padding stays padding in `tokens`.
    """
    inside = rows.segments > 0
    counts = inside & scored(rows)
    tokens = rows.tokens.astype(np.int32)  # a copy
    same = inside[:, 1:] & (rows.segments[:, 1:] == rows.segments[:, :-1])
    tokens[:, 1:] = np.where(same, rows.tokens[:, :-1], np.where(inside, start, tokens)[:, 1:])
    tokens[:, 0] = np.where(inside[:, 0], start, tokens[:, 0])
    targets = np.where(counts, rows.tokens, 0).astype(np.int32)
    return tokens, targets, counts.astype(np.float32)


def answer_laws(start: int) -> tuple[Law, ...]:
    """Measured between rows and batch."""

    def first(rows: Rows, batch: Batch) -> np.ndarray:
        return batch.tokens[_begins(rows)] != start

    return (
        Law("pieces whose decoder does not begin with the start token", 0.0, first, "exact"),
        Law("decoder inputs other than the token before", 0.0, _not_before, "exact"),
        Law("targets other than the original", 0.0, _not_original, "exact"),
        Law("tokens of the text that do not count, or padding that does", 0.0, _cover, "exact"),
    )


def _begins(rows: Rows) -> np.ndarray:
    """Where a piece begins. [B, T] bool."""
    begins = rows.segments > 0
    begins[:, 1:] &= rows.segments[:, 1:] != rows.segments[:, :-1]
    return begins


def _not_before(rows: Rows, batch: Batch) -> np.ndarray:
    row, column = np.nonzero((rows.segments > 0) & ~_begins(rows))
    return batch.tokens[row, column] != rows.tokens[row, column - 1]


def _not_original(rows: Rows, batch: Batch) -> np.ndarray:
    return (batch.targets != rows.tokens)[np.asarray(batch.weights) > 0]


def _cover(rows: Rows, batch: Batch) -> np.ndarray:
    return ((batch.weights == 1) != ((rows.segments > 0) & scored(rows))).ravel()
