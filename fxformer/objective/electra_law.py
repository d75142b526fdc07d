"""What must hold of the bits that a generator draws with; measured between rows and batch."""

import numpy as np

from fxformer.batch import Batch, Rows
from fxformer.objective.law import Law

CELLS = 32


def electra_laws() -> tuple[Law, ...]:
    """Uniform, each its own, and the balance of tokens and targets."""
    return (
        Law("bits that tokens are drawn with, uniform", (1 / CELLS,) * CELLS, _cells, "shares"),
        Law("next bits above these, by chance", 0.5, _rising, "mean"),
        Law("tokens for each target, unlike in the batch", 0.0, _off_balance, "exact"),
    )


def ranks_in_rows(segments: np.ndarray) -> np.ndarray:
    """Index of each token within its own piece. [B, T] int64."""
    index = np.broadcast_to(np.arange(segments.shape[1]), segments.shape)
    new = np.ones(segments.shape, bool)
    new[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return index - np.maximum.accumulate(np.where(new, index, 0), axis=1)


def _cells(rows: Rows, batch: Batch) -> np.ndarray:
    bits = batch.noise[batch.weights > 0]
    return np.bincount(bits >> np.uint32(27), minlength=CELLS)


def _rising(rows: Rows, batch: Batch) -> np.ndarray:
    """Of disjoint pairs of neighbouring targets; always false where the bits were copied."""
    first, second = batch.noise[:, 0:-1:2], batch.noise[:, 1::2]
    counts = (batch.weights[:, 0:-1:2] > 0) & (batch.weights[:, 1::2] > 0)
    return (second > first)[counts].astype(np.float64)


def _off_balance(rows: Rows, batch: Batch) -> np.ndarray:
    targets, tokens = np.count_nonzero(batch.weights), np.count_nonzero(rows.segments)
    return ~np.isclose(batch.balance * targets, tokens, rtol=1e-6)
