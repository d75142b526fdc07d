"""Curves out of Unicode: a sparkline in a line of text, a chart of braille dots."""

import math
from collections.abc import Sequence

import numpy as np

_BARS = "▁▂▃▄▅▆▇█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # braille bits by row, column


def sparkline(values: Sequence[float] | np.ndarray, width: int = 24) -> str:
    """One character per bin of `values`, the mean of the bin as a bar; not finite: a space."""
    y = np.asarray(values, dtype=np.float64)
    if not np.isfinite(y).any():
        return ""
    bins = np.array_split(y, min(width, len(y)))
    means = [float(b[np.isfinite(b)].mean()) if np.isfinite(b).any() else math.nan for b in bins]
    low, high = np.nanmin(means), np.nanmax(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if math.isnan(m) else _BARS[round((m - low) * scale)] for m in means)


def dots(
    curves: Sequence[tuple[np.ndarray, np.ndarray]], width: int, height: int
) -> tuple[list[list[tuple[str, int]]], tuple[float, float], tuple[float, float]]:
    """Draw curves into width x height characters of 2 x 4 dots.

    curves: (x [N], y [N]) each; points that are not finite are left out
    Returns rows of (character, index of the curve drawn there last or -1), the top row first, and
    the ranges of x and y. ValueError when there is no finite point.
    """
    finite = [_finite(x, y) for x, y in curves]
    every_x = np.concatenate([x for x, _ in finite] or [np.empty(0)])
    every_y = np.concatenate([y for _, y in finite] or [np.empty(0)])
    if not len(every_x):
        raise ValueError("no finite point to draw")
    xs, ys = (every_x.min(), every_x.max()), (every_y.min(), every_y.max())
    bits = np.zeros((height, width), dtype=np.int64)
    owner = np.full((height, width), -1)
    for n, (x, y) in enumerate(finite):
        columns, rows = _grid(x, xs, 2 * width), 4 * height - 1 - _grid(y, ys, 4 * height)
        for c, r in _joined(columns, rows):
            bits[r // 4, c // 2] |= _DOTS[r % 4][c % 2]
            owner[r // 4, c // 2] = n
    lines = [
        [(chr(0x2800 + int(b)), int(o)) for b, o in zip(br, orow, strict=True)]
        for br, orow in zip(bits, owner, strict=True)
    ]
    return lines, (float(xs[0]), float(xs[1])), (float(ys[0]), float(ys[1]))


def _finite(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    good = np.isfinite(x) & np.isfinite(y)
    return np.asarray(x)[good], np.asarray(y)[good]


def _grid(values: np.ndarray, span: tuple[float, float], size: int) -> np.ndarray:
    low, high = span
    if high == low:
        return np.full(len(values), size // 2)
    return np.clip(np.round((values - low) / (high - low) * (size - 1)), 0, size - 1).astype(int)


def _joined(columns: np.ndarray, rows: np.ndarray):
    """The dots of a polyline, so that steep curves have no holes."""
    for n in range(len(columns)):
        c, r = columns[n], rows[n]
        back, up = (columns[n - 1], rows[n - 1]) if n else (c, r)
        steps = max(abs(c - back), abs(r - up), 1)
        for k in range(1, steps + 1):
            yield back + round((c - back) * k / steps), up + round((r - up) * k / steps)
