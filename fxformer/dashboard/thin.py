"""Fewer points that look like all of them: no peak is lost."""

import numpy as np


def extremes(values: np.ndarray, points: int) -> np.ndarray:
    """Indices, ascending, of at most about `points` of the values [N]: the first, the last, and the
    least and the greatest of each of points / 2 equal stretches. What is not finite is passed
    over. All indices of the finite ones where there are few."""
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) <= points:
        return finite
    rows, empty = _stretches(values[finite], max(points // 2, 1))
    low = np.where(empty, np.inf, rows).argmin(axis=1)
    high = np.where(empty, -np.inf, rows).argmax(axis=1)
    start = np.arange(len(rows)) * rows.shape[1]
    return finite[np.unique(np.concatenate([[0], start + low, start + high, [len(finite) - 1]]))]


def means(values: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each of points / 2 equal stretches of the finite values, and the index of the
    last one of each; the values themselves where there are few."""
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) <= points:
        return finite, values[finite]
    rows, empty = _stretches(values[finite], max(points // 2, 1))
    counts = (~empty).sum(axis=1)
    ends = np.minimum((np.arange(len(rows)) + 1) * rows.shape[1], len(finite)) - 1
    return finite[ends], np.where(empty, 0.0, rows).sum(axis=1) / counts


def significant(values: np.ndarray, digits: int = 6) -> np.ndarray:
    """Rounded to so many digits; what is not finite stays."""
    size = np.where(np.isfinite(values) & (values != 0), np.abs(values), 1.0)
    factor = 10.0 ** (digits - 1 - np.floor(np.log10(size)))
    return np.where(np.isfinite(values), np.round(values * factor) / factor, values)


def _stretches(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The values as rows of equal length, and which places of the last row are filling."""
    length = -(-len(values) // count)
    rows = -(-len(values) // length)
    padded = np.resize(values, rows * length)
    empty = np.arange(rows * length) >= len(values)
    return padded.reshape(rows, length), empty.reshape(rows, length)
