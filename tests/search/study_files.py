"""Studies as files, made from numbers: what a search would have left."""

import json
import math
from pathlib import Path

import numpy as np

from fxformer.search.study import FOLDER, Dimension, Study, Trial

SPACE = (
    Dimension("optimizer.lr", "interval", 1e-5, 1e-1, log=True),
    Dimension("model.layers", "choice", choices=(2, 4, 6), literals=("2", "4", "6")),
    Dimension("model.dropout", "interval", 0.0, 0.5),
)
WATTHOUR = 1e-3  # kWh


def study(root: Path, trials: list[Trial], *, name: str = "made", space=SPACE, **facts) -> Study:
    """A study's folder in `root`, a folder of runs, with these trials in it."""
    made = Study(
        folder=root / FOLDER / name,
        name=name,
        command=("train", "-m", "search=random", "optimizer.lr=tag(log, interval(1e-5, 0.1))"),
        overrides=("data=markov", "name=it's"),
        space=space,
        sampler={"_target_": "fxformer.search.random.Random"},
        pruner=None,
        seed=0,
        **{"total": len(trials), "objectives": ("loss",), "created": "2026-01-01"} | facts,
    )
    made.path(0).parent.mkdir(parents=True)
    (made.folder / "study.json").write_text(json.dumps(made.to_json()))
    for trial in trials:
        if trial.state != "waiting":
            made.path(trial.slot).write_text(json.dumps(trial.to_json()))
    return made


def trial(
    slot: int,
    value: float | None = None,
    *,
    state: str = "complete",
    kwh: float = WATTHOUR,
    steps: int = 100,
    **facts,
) -> Trial:
    """One whose two reports end at `value`; drawn from SPACE by its slot."""
    rng = np.random.default_rng([7, slot])
    params = {
        "optimizer.lr": float(10 ** rng.uniform(-5, -1)),
        "model.layers": int(rng.choice([2, 4, 6])),
        "model.dropout": float(rng.uniform(0, 0.5)),
    } | facts.pop("params", {})
    if value is None:
        value = (math.log10(params["optimizer.lr"]) + 3) ** 2 + 1
    return Trial(
        slot,
        params=params,
        overrides=tuple(f"{key}={value}" for key, value in params.items()),
        state=state,
        values=(value,) if state in ("complete", "pruned") else (),
        reports=((steps // 2, value + 1, kwh / 2), (steps, value, kwh)),
        joules=3.6e6 * kwh,
        kwh=kwh,
        gco2e=475 * kwh,
        seconds=60.0,
        run=f"2026-{slot}",
        attempts=1,
        **facts,
    )
