"""Checks of decoder inputs: the target shifted right by one, and the target itself."""

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.evaluate.audit.check import Check
from fxformer.objective.causal import scored


def answer_checks(start: int) -> tuple[Check, ...]:
    """RatioEstimate between rows and batch."""

    def first(rows: Rows, batch: Batch) -> np.ndarray:
        return batch.tokens[_begins(rows)] != start

    return (
        Check("pieces whose decoder does not begin with the start token", 0.0, first, "exact"),
        Check("decoder inputs other than the token before", 0.0, _not_before, "exact"),
        Check("targets other than the original", 0.0, _not_original, "exact"),
        Check("tokens of the text that do not count, or padding that does", 0.0, _cover, "exact"),
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
