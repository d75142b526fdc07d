"""Curves of logged metrics over steps, tokens, time, FLOPs or joules, downsampled for drawing."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fxformer.dashboard.metrics_index import Columns
from fxformer.dashboard.run_index import RunIndex
from fxformer.errors import UserError
from fxformer.track.run_reader import StoredRun

AXES = ("step", "tokens", "seconds", "joules")  # FLOPs are tokens times a constant
_WINDOW = 2.0  # seconds over which power is averaged; sensors are read about twice a second
_MAX_POINTS = 5000  # of a request
_HIDDEN = {*AXES}  # the x axes are not offered as curves


def curves(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """{"points", "runs": {run: {split: [names]}}}: the curves that exist."""
    runs = {key: _names(run, index.names(key)) for key, run in index.runs().items()}
    return {"points": index.points, "runs": runs}


def curve(index: RunIndex, params: Mapping[str, str]) -> dict[str, Any]:
    """One curve. params: run, split, name and optionally points.

    {"flops_per_token", "of": number of lines that have the metric, "odd": how many are not finite,
     "extremes": {axis: [N], "y": [N]}, "means": likewise}
    extremes: minimum and maximum of equal intervals, so that every peak is drawn
    means: means of equal intervals, to be smoothed and averaged over runs
    """
    key, split, name = (params.get(word, "") for word in ("run", "split", "name"))
    points = _points(params.get("points"), index.points)
    run, columns = index.run(key), index.columns(key)
    x, y = values(run, columns, split, name)
    odd = ~np.isfinite(y) if name == "loss" else np.isinf(y)  # every line of a split has a loss
    picked = extremes(y, points)
    last, mean = means(y, points)
    return {
        "flops_per_token": run.facts.get("flops_per_token"),
        "of": int((~np.isnan(y) | odd).sum()),
        "odd": int(odd.sum()),
        "extremes": _rows(x, picked, y[picked]),
        "means": _rows(x, last, mean),
    }


def values(
    run: StoredRun, columns: Columns, split: str, name: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The axes and the metric, each [N]. Watts and MFU are derived from logged metrics."""
    if name == "watts":
        found = columns.split(split, *AXES)
        return found, _watts(found["seconds"], found["joules"])
    if name == "mfu":
        found = columns.split(split, *AXES, "tokens_per_second")
        return found, found["tokens_per_second"] * (_mfu_per_token_rate(run) or math.nan)
    found = columns.split(split, *dict.fromkeys((*AXES, name)))
    return found, found[name]


def _watts(seconds: np.ndarray, joules: np.ndarray) -> np.ndarray:
    """Mean power over the last two seconds, [N] watts; NaN in the first two seconds."""
    if not len(seconds):
        return np.zeros(0)
    before = np.searchsorted(seconds, seconds - _WINDOW, side="right") - 1
    known = before >= 0
    before = np.maximum(before, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        watts = (joules - joules[before]) / (seconds - seconds[before])
    return np.where(known, watts, np.nan)


def _mfu_per_token_rate(run: StoredRun) -> float | None:
    """MFU per token/s; None where the peak FLOP/s of the devices is unknown."""
    facts, summary = run.facts, run.facts.get("summary") or {}
    peak = facts.get("peak_flops")
    if not peak and summary.get("mfu") and summary.get("flops_per_second"):
        peak = summary["flops_per_second"] / summary["mfu"]
    return facts["flops_per_token"] / peak if peak and facts.get("flops_per_token") else None


def _names(run: StoredRun, there: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """{split: names} of logged and derived metrics."""
    found = {}
    for split, names in there.items():
        found[split] = [name for name in names if name not in _HIDDEN]
        if split == "train" and {"seconds", "joules"} <= set(names):
            found[split].append("watts")
        if split == "train" and "tokens_per_second" in names and _mfu_per_token_rate(run):
            found[split].append("mfu")
    return found


def _rows(x: Mapping[str, np.ndarray], picked: np.ndarray, y: np.ndarray) -> dict[str, list]:
    rows = {axis: significant(x[axis][picked], 9).tolist() for axis in AXES}
    return rows | {"y": significant(y).tolist()}


def _points(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not text.isdigit() or not 2 <= int(text) <= _MAX_POINTS:
        raise UserError(f"points: expected an int from 2 to {_MAX_POINTS}, got {text!r}")
    return int(text)


def extremes(values: np.ndarray, points: int) -> np.ndarray:
    """Downsample a curve without losing peaks: ascending indices of at most about `points` values.

    values: [N]; non-finite values are skipped
    Returns the first index, the last, and those of the minimum and the maximum of each of
    points / 2 equal intervals; the indices of all finite values where these are at most `points`.
    """
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) <= points:
        return finite
    rows, empty = _intervals(values[finite], max(points // 2, 1))
    low = np.where(empty, np.inf, rows).argmin(axis=1)
    high = np.where(empty, -np.inf, rows).argmax(axis=1)
    start = np.arange(len(rows)) * rows.shape[1]
    return finite[np.unique(np.concatenate([[0], start + low, start + high, [len(finite) - 1]]))]


def means(values: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Downsample a curve by averaging: (last index, mean) of points / 2 equal intervals, both [M].

    values: [N]; non-finite values are skipped. Not averaged where at most `points` are finite.
    """
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) <= points:
        return finite, values[finite]
    rows, empty = _intervals(values[finite], max(points // 2, 1))
    counts = (~empty).sum(axis=1)
    ends = np.minimum((np.arange(len(rows)) + 1) * rows.shape[1], len(finite)) - 1
    return finite[ends], np.where(empty, 0.0, rows).sum(axis=1) / counts


def significant(values: np.ndarray, digits: int = 6) -> np.ndarray:
    """Values rounded to significant digits; non-finite values are kept."""
    size = np.where(np.isfinite(values) & (values != 0), np.abs(values), 1.0)
    factor = 10.0 ** (digits - 1 - np.floor(np.log10(size)))
    return np.where(np.isfinite(values), np.round(values * factor) / factor, values)


def _intervals(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The values as rows of equal length, and a mask of the padding in the last row."""
    length = -(-len(values) // count)
    rows = -(-len(values) // length)
    padded = np.resize(values, rows * length)
    empty = np.arange(rows * length) >= len(values)
    return padded.reshape(rows, length), empty.reshape(rows, length)


def embedded_requests(index: RunIndex) -> Iterable[tuple[str, dict[str, str]]]:
    """The requests whose answers a report embeds."""
    yield "curves", {}
    for key, splits in curves(index, {})["runs"].items():
        for split, names in splits.items():
            for name in names:
                yield "curve", {"run": key, "split": split, "name": name}
