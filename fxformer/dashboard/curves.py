"""Curves: one number of one run, thin enough to draw, over steps, tokens, time, FLOPs or joules."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fxformer.dashboard import thin
from fxformer.dashboard.columns import Columns
from fxformer.dashboard.run_index import Shelf
from fxformer.errors import UserError
from fxformer.track.run_reader import StoredRun

AXES = ("step", "tokens", "seconds", "joules")  # FLOPs are tokens times a constant
_WINDOW = 2.0  # seconds that watts are the mean of: meters are read about twice a second
_MOST = 5000  # points that may be asked for
_HIDDEN = {*AXES}  # they are what a curve is drawn over


def curves(shelf: Shelf, params: Mapping[str, str]) -> dict[str, Any]:
    """{"points", "runs": {run: {split: [names]}}}: which curves there are."""
    runs = {key: _names(run, shelf.names(key)) for key, run in shelf.runs().items()}
    return {"points": shelf.points, "runs": runs}


def curve(shelf: Shelf, params: Mapping[str, str]) -> dict[str, Any]:
    """One curve: params run, split, name and, if there shall be fewer or more, points.

    {"flops_per_token", "of": how many lines have it, "odd": how many of them are not finite,
     "extremes": {axis: [N], "y": [N]}, "means": the same}
    extremes has every peak; means, of equal stretches, is what to smooth and to average over runs.
    """
    key, split, name = (params.get(word, "") for word in ("run", "split", "name"))
    points = _whole(params.get("points"), shelf.points)
    run, columns = shelf.run(key), shelf.columns(key)
    x, y = values(run, columns, split, name)
    odd = ~np.isfinite(y) if name == "loss" else np.isinf(y)  # every line of a split has a loss
    picked = thin.extremes(y, points)
    last, mean = thin.means(y, points)
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
    """The axes and the number itself, each [N]. Watts and MFU are made from what was logged."""
    if name == "watts":
        held = columns.split(split, *AXES)
        return held, _watts(held["seconds"], held["joules"])
    if name == "mfu":
        held = columns.split(split, *AXES, "tokens_per_second")
        return held, held["tokens_per_second"] * (_share_per_token(run) or math.nan)
    held = columns.split(split, *dict.fromkeys((*AXES, name)))
    return held, held[name]


def _watts(seconds: np.ndarray, joules: np.ndarray) -> np.ndarray:
    """Mean power over the last two seconds, [N]; NaN before there are as many."""
    if not len(seconds):
        return np.zeros(0)
    before = np.searchsorted(seconds, seconds - _WINDOW, side="right") - 1
    known = before >= 0
    before = np.maximum(before, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        watts = (joules - joules[before]) / (seconds - seconds[before])
    return np.where(known, watts, np.nan)


def _share_per_token(run: StoredRun) -> float | None:
    """MFU for each token a second; None where the peak of the devices is not known."""
    facts, summary = run.facts, run.facts.get("summary") or {}
    peak = facts.get("peak_flops")
    if not peak and summary.get("mfu") and summary.get("flops_per_second"):
        peak = summary["flops_per_second"] / summary["mfu"]
    return facts["flops_per_token"] / peak if peak and facts.get("flops_per_token") else None


def _names(run: StoredRun, there: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What was logged, and what is made from it."""
    found = {}
    for split, names in there.items():
        found[split] = [name for name in names if name not in _HIDDEN]
        if split == "train" and {"seconds", "joules"} <= set(names):
            found[split].append("watts")
        if split == "train" and "tokens_per_second" in names and _share_per_token(run):
            found[split].append("mfu")
    return found


def _rows(x: Mapping[str, np.ndarray], picked: np.ndarray, y: np.ndarray) -> dict[str, list]:
    rows = {axis: thin.significant(x[axis][picked], 9).tolist() for axis in AXES}
    return rows | {"y": thin.significant(y).tolist()}


def _whole(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not text.isdigit() or not 2 <= int(text) <= _MOST:
        raise UserError(f"points is a whole number from 2 to {_MOST}, not {text!r}")
    return int(text)


def questions(shelf: Shelf) -> Iterable[tuple[str, dict[str, str]]]:
    """What a report holds of this."""
    yield "curves", {}
    for key, splits in curves(shelf, {})["runs"].items():
        for split, names in splits.items():
            for name in names:
                yield "curve", {"run": key, "split": split, "name": name}
