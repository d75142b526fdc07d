"""Evaluations of a labelled task in run.json: written at the end of a run, read by all tables."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from fxformer import jsonl
from fxformer.config.type_check import type_problem
from fxformer.metrics.columns import titles
from fxformer.metrics.results import MetricResults, Score

SPLITS = ("valid", "test")


@dataclasses.dataclass(frozen=True)
class StoredEvaluation:
    """An evaluation of a split.

    step: of the weights
    examples: number of examples
    scores: {name: score}; of the moving average as "ema_…"
    averages: loss, nll and other averages over labels, as {name: number}
    remarks: what a reader must know, a sentence each
    """

    step: int
    examples: int
    scores: dict[str, Score]
    averages: dict[str, float]
    remarks: list[str]

    @classmethod
    def of(
        cls,
        results: Mapping[str, MetricResults],
        step: int,
        averages: Mapping[str, float] | None = None,
    ) -> "StoredEvaluation":
        """From results by the prefix of their names ("", "ema_"), of which there is one at least.

        averages: numbers of which those that are no scores are kept
        """
        scores = {
            f"{prefix}{name}": score
            for prefix, one in results.items()
            for name, score in one.scores.items()
        }
        rest = {k: v for k, v in (averages or {}).items() if k not in scores}
        said = [remark for one in results.values() for remark in one.remarks]
        examples = max(one.examples for one in results.values())
        return cls(step, examples, scores, rest, list(dict.fromkeys(said)))

    @property
    def numbers(self) -> dict[str, float]:
        """{name: number} of averages and scores."""
        return self.averages | {name: score.value for name, score in self.scores.items()}

    @property
    def text(self) -> str:
        """`accuracy 0.873 [0.861, 0.885], f1 macro …` for a person."""
        return ", ".join(f"{name.replace('_', ' ')} {one}" for name, one in self.scores.items())

    def facts(self) -> dict[str, Any]:
        """For run.json."""
        return dataclasses.asdict(self)


def evaluations_of(facts: Mapping[str, Any]) -> dict[str, StoredEvaluation]:
    """{split: evaluation} of run.json; what does not fit is left out."""
    stored = facts.get("evaluation")
    known = stored if isinstance(stored, Mapping) else {}
    found = {split: _read(known.get(split)) for split in SPLITS}
    return {split: one for split, one in found.items() if one is not None}


@dataclasses.dataclass(frozen=True)
class ScoreColumn:
    """A column of a table of runs: scores of one split, name and signature.

    title: `test accuracy`, with settings where other runs have another signature
    """

    split: str
    name: str
    signature: str
    title: str

    @property
    def key(self) -> str:
        """Identifies the column in any table: split, name and signature."""
        return f"{self.split}/{self.name}|{self.signature}"

    def score(self, evaluations: Mapping[str, StoredEvaluation]) -> Score | None:
        """The score of a run in this column; None where it has none."""
        one = evaluations.get(self.split)
        found = None if one is None else one.scores.get(self.name)
        return found if found is not None and found.signature == self.signature else None


def score_columns(evaluated: Iterable[Mapping[str, StoredEvaluation]]) -> list[ScoreColumn]:
    """The columns of the scores of several runs, in the order of first occurrence by name; scores
    of different signatures never share one. evaluated: evaluations by split of each run"""
    found: dict[str, dict[tuple[str, str], None]] = {}
    for own in evaluated:
        for split, one in own.items():
            for name, score in one.scores.items():
                found.setdefault(name, {})[split, score.signature] = None
    made = []
    for name, places in found.items():
        named = titles(name, list(dict.fromkeys(signature for _, signature in places)))
        for split, signature in sorted(places, key=lambda one: SPLITS.index(one[0])):
            made.append(ScoreColumn(split, name, signature, f"{split} {named[signature]}"))
    return made


def signatures_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """{name of a logged number: signature of its metric} of run.json."""
    known = facts.get("metrics")
    pairs = known.items() if isinstance(known, Mapping) else ()
    return {name: one for name, one in pairs if isinstance(one, str)}


def evaluation_texts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(split, its scores with intervals, and remarks) of run.json, for a person."""
    return [
        (
            split,
            "; ".join([f"{one.text}, over {one.examples:,} rows, step {one.step}", *one.remarks]),
        )
        for split, one in evaluations_of(facts).items()
        if one.scores
    ]


def _read(value: Any) -> StoredEvaluation | None:
    """An evaluation as JSON; None where it is none."""
    if not isinstance(value, Mapping):
        return None
    value = jsonl.decode(dict(value))
    try:
        scores = {name: Score(**one) for name, one in value["scores"].items()}
        made = StoredEvaluation(**value | {"scores": scores})
    except (TypeError, KeyError, AttributeError):
        return None
    parts = (made, *scores.values())
    fits = all(
        type_problem(getattr(part, field.name), hint) is None
        for part in parts
        for field, hint in _hints(type(part))
    )
    return made if fits else None


def _hints(kind: type) -> list[tuple[dataclasses.Field, Any]]:
    hints = {
        "scores": dict,
        "value": float,
        "low": float | None,
        "high": float | None,
        "confidence": float,
        "signature": str,
        "higher_is_better": bool,
        "examples": int,
        "step": int,
        "averages": dict[str, float],
        "remarks": list[str],
    }
    return [(field, hints[field.name]) for field in dataclasses.fields(kind)]
