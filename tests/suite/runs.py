"""Studies of suites as files, made from numbers: what trained tasks would have left."""

import json
from pathlib import Path

from fxformer.search.space import arms
from fxformer.search.study import Dimension, Study, Trial
from fxformer.suite.definition import Suite
from tests.search.study_files import study

SUITE = Suite.from_plain(
    "ours",
    {
        "seeds": 2,
        "tasks": {
            "one": {"words": ["a=1"], "metrics": ["accuracy"], "also": ["loss"], "about": "first"},
            "two": {"words": ["a=2"], "metrics": ["f1", "accuracy"]},
            "three": {"words": ["a=3"], "metrics": ["squad_f1"], "scale": 1},
        },
        "averages": {"average": [], "without three": ["three"]},
        "published": {
            "BERT": {
                "source": "a page",
                "scores": {"one": {"accuracy": 80.0}, "two": {"f1": 70.0, "accuracy": 60.0}},
            }
        },
    },
)


def score(value: float, low: float | None = None, high: float | None = None, **more) -> dict:
    """Facts of a Score, as run.json has them."""
    facts = {"value": value, "low": low, "high": high, "confidence": 0.95, "signature": "m|v:1"}
    return facts | {"higher_is_better": True, "examples": 50} | more


def run(root: Path, name: str, scores: dict, *, loss: float = 1.0, best: dict | None = None,
        remarks: tuple[str, ...] = ()) -> str:  # fmt: skip
    """The folder of a finished run; returns its name."""
    folder = root / name
    folder.mkdir(parents=True)
    evaluation = {"valid": {"step": 9, "examples": 50, "scores": scores, "remarks": [*remarks]}}
    facts = {"id": name, "status": "done", "evaluation": evaluation, "data": {"best": best or {}}}
    (folder / "run.json").write_text(json.dumps(facts))
    line = {"split": "valid", "step": 9, "loss": loss}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return name


def trial(slot: int, arm: str, seed: int, name: str | None, **more) -> Trial:
    """A trial of a suite; without a run it has to say its state."""
    facts = {"state": "complete", "values": (1.0,), "joules": 10.0, "kwh": 1e-6, "seconds": 30.0}
    facts = (facts if name else {}) | more
    params = {"arm": arm, "seed": seed}
    return Trial(slot, params, (f"seed={seed}",), run=name, attempts=1, **facts)


def stored(root: Path, trials: list[Trial], suite: Suite = SUITE) -> Study:
    """The study of these trials."""
    seeds = tuple(range(suite.seeds))
    seed = Dimension("seed", "choice", choices=seeds, literals=tuple(map(str, seeds)))
    space = (arms(suite.arms(None, None), set()), seed)
    return study(root, trials, space=space, total=len(suite.tasks) * suite.seeds)


def example(root: Path, suite: Suite = SUITE) -> Study:
    """Two tasks with two seeds each, one that is left out."""
    best = {"accuracy": 0.9, "loss": 0.5}
    trials = [
        trial(0, "one", 0, run(root, "r0", {"accuracy": score(0.8)}, loss=0.6, best=best)),
        trial(1, "one", 1, run(root, "r1", {"accuracy": score(0.9)}, loss=0.4, best=best)),
        trial(2, "two", 0, run(root, "r2", {"accuracy": score(0.5), "f1": score(0.7)})),
        trial(3, "two", 1, run(root, "r3", {"accuracy": score(0.6), "f1": score(0.8)},
                               remarks=("collapsed: class <b> only",))),
        trial(4, "three", 0, None, state="skipped", reason="an encoder | cannot"),
        trial(5, "three", 1, None, state="skipped", reason="an encoder | cannot"),
    ]  # fmt: skip
    return stored(root, trials, suite)
