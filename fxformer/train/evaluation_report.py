"""Report of the evaluations of a run on labelled rows: scores with intervals, remarks, facts."""

from collections.abc import Mapping
from typing import Any

from fxformer.metrics.results import MetricResults, Score
from fxformer.train.loop_state import LoopState


def scores(ended: LoopState) -> dict[str, Score]:
    """{name: score} of the last evaluation, as its numbers are named ("ema_…")."""
    return {
        f"{prefix}{name}": score
        for prefix, results in ended.valid_results.items()
        for name, score in results.scores.items()
    }


def remarks(ended: LoopState) -> list[str]:
    """What a reader of the numbers of the last evaluation must know, each sentence once."""
    said = [one for results in ended.valid_results.values() for one in results.remarks]
    return list(dict.fromkeys(said))


def split_facts(results: MetricResults, named: Mapping[str, Score], step: int) -> dict[str, Any]:
    """Facts of an evaluation of a split for run.json.

    named: the scores by the names of the run's numbers; step: of the weights
    """
    return {
        "step": step,
        "examples": results.examples,
        "scores": {name: score.facts() for name, score in named.items()},
        "remarks": results.remarks,
    }


def evaluation_facts(facts: Mapping[str, Any], ended: LoopState) -> dict[str, Any]:
    """{"evaluation": {"valid": …}} for run.json; {} where this attempt evaluated no labelled rows.

    facts: those of run.json, whose evaluations of other splits stay
    """
    if not ended.valid_results:
        return {}
    last = next(reversed(ended.valid_results.values()))
    valid = split_facts(last, scores(ended), ended.totals.evaluated)
    return {"evaluation": {**(facts.get("evaluation") or {}), "valid": valid}}
