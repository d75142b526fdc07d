"""Runs folders for tests of the page, written by the run itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fxformer import jsonl
from fxformer.figures.drawing import write_figure
from fxformer.figures.intervals import IntervalPanel, IntervalRow, interval_plot
from fxformer.metrics.calibration import CalibrationError
from fxformer.metrics.classification import Accuracy
from fxformer.metrics.results import MetricResults
from fxformer.search.study import Dimension, Study, Trial
from fxformer.track.evaluations import StoredEvaluation
from fxformer.track.run import Run


def finished(
    root: Path,
    name: str = "one",
    *,
    config: dict[str, Any] | None = None,
    steps: int = 40,
    status: str = "done",
    reason: str | None = None,
    loss=lambda step: 4.0 / step**0.3,
    seed: int = 0,
    **facts: Any,
) -> Path:
    """A run of `steps` logged steps with an evaluation every ten; its folder."""
    usual = {"seed": seed, "optimizer": {"lr": 1e-3}, "energy": {"region": "FRA"}}
    config, argv = usual | (config or {}), ["fxformer", "train", f"seed={seed}"]
    known = {"parameters": 1000, "flops_per_token": 6000.0} | facts
    run = Run.create(root, name, config=config, facts=known, argv=argv)
    for step in range(1, steps + 1):
        so_far = {"seconds": 0.5 * step, "tokens": 100 * step, "joules": 4.0 * step}
        run.log(
            step,
            "train",
            {
                "loss": loss(step),
                "accuracy": step / (2 * steps),
                **so_far,
                "learning_rate": 1e-3,
                "gradient_norm": 1.0 / step,
                "tokens_per_second": 200.0,
            },
        )
        if step % 10 == 0:
            held = {"loss": loss(step) + 0.1, "bits_per_byte": loss(step) / 3}
            run.log(step, "valid", held | so_far)
    _ledger(run.folder, joules=4.0 * steps)
    run.finish(status, reason, summary={"valid_loss": loss(steps) + 0.1, "best": loss(steps) + 0.1})
    return run.folder


def judged(root: Path, name: str, *, bins: int, right: int) -> Path:
    """A finished run of a task that classifies `right` of 40 rows, with an ECE by `bins`."""
    labels = np.arange(40) % 2
    logits = np.log(np.eye(2)[np.where(np.arange(40) < right, labels, 1 - labels)] + 0.1)
    metrics = [CalibrationError(bins=bins), Accuracy()]
    found = StoredEvaluation.of({"": MetricResults(metrics, logits, labels)}, 40).facts()
    facts = {"metrics": {k: s for one in metrics for k, s in one.signatures().items()}}
    return finished(root, name, evaluation={"valid": found, "test": found}, **facts)


def _ledger(folder: Path, joules: float) -> None:
    """Two lines of one attempt, of which the last counts."""
    writer = jsonl.Writer(folder / "energy.jsonl")
    for share in (0.5, 1.0):
        parts = [
            ("train", "cpu", "model:cpu", "modelled", 0.4, 0.8 * joules * share),
            ("compile", "cpu", "rapl:0", "measured", 0.05, 0.2 * joules * share),
        ]
        writer.write(
            {
                "attempt": "a1",
                "time": 1.7e9 + 60 * share,
                "joules": joules * share,
                "joules_by_hour": {str(int(1.7e9 // 3600)): joules * share},
                "seconds_by_phase": {"train": 10 * share, "compile": 2 * share},
                "entries": parts,
                "assumptions": [],
                "unreadable": [],
            }
        )
    writer.close()


def searched(root: Path, key: str = "model.layers") -> None:
    """A search called "first" of twelve trials over the rate and `key`; the best is slot 6."""
    space = (
        Dimension("optimizer.lr", "interval", 1e-5, 1e-1, log=True),
        Dimension(key, "choice", choices=(2, 4), literals=("2", "4")),
    )
    study = Study(
        root / ".searches" / "first",
        "first",
        ("train",),
        (),
        space,
        {},
        None,
        0,
        12,
        ("loss",),
        budget_kwh=0.1,
        created="2026",
    )
    study.path(0).parent.mkdir(parents=True)
    (study.folder / "study.json").write_text(json.dumps(study.to_json()))
    for slot in range(12):
        state = "pruned" if slot % 5 == 1 else "complete"
        one = Trial(
            slot,
            {"optimizer.lr": 10 ** (-1 - slot / 3), key: 2 + 2 * (slot % 2)},
            state=state,
            values=(1.0 + (slot - 6) ** 2,),
            kwh=0.001 * (slot + 1),
            reports=((1, 2.0, 0.001),),
            ended=f"2026-01-01T00:{slot:02d}:00+00:00",
        )
        study.path(slot).write_text(json.dumps(one.to_json()))


def claimed(root: Path, name: str = "first") -> Path:
    """The result of a study of a claim in the folder of its search."""
    folder = root / ".searches" / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"verdict": "reproduced", "seeds": 3, "joules": 1408.0, "minutes": 4.5,
            "date": "2026-01-02", "energy": "modelled"}  # fmt: skip
    (folder / "result.json").write_text(json.dumps(kept))
    drawing = interval_plot(
        [IntervalPanel("mean", [IntervalRow(label="effect", value=1.0, low=0.5, high=1.5)])],
        "A claim",
        "source",
        "legend",
    )
    write_figure(drawing, folder / "figure.svg")
    write_figure(drawing, folder / "figure.pdf")
    return folder
