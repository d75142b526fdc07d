"""Scores of labelled tasks in the table of runs: a column for each split, name and signature."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from fxformer.metrics.confidence import CONFIDENCE
from fxformer.metrics.direction import direction_of
from fxformer.metrics.results import Score
from fxformer.track.evaluations import (
    ScoreColumn,
    StoredEvaluation,
    evaluations_of,
    score_columns,
    signatures_of,
)

Evaluations = dict[str, StoredEvaluation]


def evaluations(facts: Mapping[str, Any], valid: Mapping[str, Any]) -> Evaluations:
    """The stored evaluations of a run; of one that has none yet, its last logged metrics, without
    intervals. valid: the last line of the validation"""
    found = evaluations_of(facts)
    scores = {
        name: Score(
            valid[name], None, None, CONFIDENCE, signature, direction_of(name) != "minimize", 0
        )
        for name, signature in signatures_of(facts).items()
        if name in valid
    }
    if "valid" not in found and scores:
        found["valid"] = StoredEvaluation(int(valid.get("step", 0)), 0, scores, {}, [])
    return found


def table(
    evaluated: Sequence[Evaluations],
) -> tuple[list[dict[str, Any]], list[dict[str, dict[str, Any]]]]:
    """(columns, the scores of each run by the id of their column).

    A column has "id", "title", "higher_is_better", and "main": whether its number is the first one
    of a run, of the test split where the run has one.
    """
    columns, main, known = score_columns(evaluated), set[str](), dict[str, bool]()
    rows = []
    for own in evaluated:
        split = "test" if "test" in own else "valid"
        first = next(iter(own[split].scores), None) if split in own else None
        row = {}
        for column in columns:
            if (score := column.score(own)) is None:
                continue
            name = _id(column)
            known[name] = score.higher_is_better
            row[name] = {key: getattr(score, key) for key in ("value", "low", "high", "examples")}
            main |= {name} if (column.split, column.name) == (split, first) else set()
        rows.append(row)
    made = [
        {
            "id": _id(column),
            "title": column.title,
            "signature": column.signature,
            "higher_is_better": known[_id(column)],
            "main": _id(column) in main,
        }
        for column in columns
    ]
    return made, rows


def _id(column: ScoreColumn) -> str:
    """Id of a column that does not depend on the other runs, without commas."""
    digest = hashlib.blake2b(column.signature.encode(), digest_size=4).hexdigest()
    return f"score/{column.split}/{column.name}/{digest}"
