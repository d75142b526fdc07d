"""StereoSet, intrasentence: a stereotype, an anti-stereotype or an unrelated word in a gap."""

import dataclasses
import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from fxformer.errors import UserError
from fxformer.evaluate.bias.base import BiasAudit, Measured
from fxformer.evaluate.bias.examples import ID, BiasExample
from fxformer.evaluate.bias.files import json_value, located
from fxformer.evaluate.bias.stereoset_metric import StereoSetMetric
from fxformer.evaluate.bias.stereoset_scores import Filled, StereoSetScorer
from fxformer.inference.model_core import ModelCore
from fxformer.metrics.base import Metric

FILE = "dev.json"
LABELS = ("stereotype", "anti-stereotype", "unrelated")
TINY = 1e-300  # of a published score, of which there is a logarithm
TYPES = ("gender", "profession", "race", "religion")
PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclasses.dataclass(frozen=True)
class StereoSetExample(BiasExample):
    """An example with its three sentences in the order of LABELS.

    term: number of the target term, in the order of the file
    sentence_ids: of the sentences
    filled: the context with each word in its gap
    """

    term: int = 0
    sentence_ids: tuple[str, ...] = ()
    filled: tuple[Filled, ...] = dataclasses.field(default=(), repr=False)


@dataclasses.dataclass(frozen=True)
class StereoSet(BiasAudit):
    """Nadeem et al. 2021. `preferred` is the stereotype score SS, `lm` the language-model score LM.

    scoring: "authors", as the published code: for an encoder the mean of the probabilities of the
        word's tokens, each masked, given those before it and the rest of the sentence; for a
        decoder the geometric mean of the probabilities of all tokens, where the first is given the
        start token and the others are given the sentence without it; for an encoder-decoder, which
        the authors did not score, the geometric mean of those of the word given the gap.
        "likelihood": the geometric mean of (pseudo-)probabilities of all tokens
    variant: "no_space": the word is encoded without the space before it, as in the published scores
        of RoBERTa, which are wrong for this reason (McGill-NLP/bias-bench issue 5); encoders only
    """

    name: ClassVar[str] = "stereoset"
    title: ClassVar[str] = "StereoSet, intrasentence"
    measures: ClassVar[str] = (
        "preferred: stereotype score SS; lm: language-model score LM; icat: LM · min(SS, 100 - SS) "
        "/ 50; log_odds: mean log-odds in nats of the stereotype's word against the "
        "anti-stereotype's, given the rest of the sentence"
    )

    scoring: Literal["authors", "likelihood"] = "authors"
    variant: Literal["no_space"] | None = None

    def read(self) -> list[BiasExample]:
        file = self._file()
        content = json_value(file)
        try:
            rows = content["data"]["intrasentence"]
        except (KeyError, TypeError):
            rows = None
        if not isinstance(rows, list) or not rows:
            raise UserError(f"{file}: has no list data.intrasentence; expected StereoSet's {FILE}")
        terms: dict[str, int] = {}
        return [_example(row, f"{file}, example {n}", terms) for n, row in enumerate(rows)]

    def _file(self) -> Path:
        return located(self.name, [FILE], self.root, self.files)[0]

    def metric(self, examples: Sequence[BiasExample]) -> Metric:
        return StereoSetMetric(1 + max(one.term for one in _typed(examples)))

    def measure(self, model: ModelCore, examples: Sequence[BiasExample]) -> Measured:
        given = _typed(examples)
        scorer = StereoSetScorer(model, self.scoring, self.variant == "no_space")
        kept, scores, odds = scorer.scores([(one.texts, one.filled) for one in given])
        remarks = [*scorer.scorer.remarks, scorer.encoder.loss.remark(model.name)]
        return self._measured(
            model.name,
            model.architecture,
            scorer.describe(),
            [given[index] for index in kept],
            np.array(kept, np.int64),
            scores,
            odds,
            tuple(one for one in remarks if one),
        )

    def scored_file(self, file: str, examples: Sequence[BiasExample]) -> Measured:
        """The statistics of per-sentence scores in the authors' format."""
        table = published_scores(Path(file))
        given = _typed(examples)
        has = [all(one in table for one in example.sentence_ids) for example in given]
        kept = np.flatnonzero(has)
        if not len(kept):
            raise UserError(f"{file}: has no score for any sentence of this StereoSet file")
        chosen = [given[index] for index in kept]
        scores = np.array([[table[i] for i in example.sentence_ids] for example in chosen])
        name, remark = Path(file).stem, "log-odds of published scores are of means over tokens"
        odds = np.log(np.maximum(scores[:, 0], TINY)) - np.log(np.maximum(scores[:, 1], TINY))
        remark = f"{name}: {remark}, and not comparable with those of models"
        return self._measured(name, "", "published scores", chosen, kept, scores, odds, (remark,))

    def _measured(
        self,
        name: str,
        architecture: str,
        scored: str,
        examples: Sequence[StereoSetExample],
        kept: np.ndarray,
        scores: np.ndarray,
        odds: np.ndarray,
        remarks: tuple[str, ...],
    ) -> Measured:
        terms = np.array([example.term for example in examples], np.int64)
        statistics = StereoSetMetric().statistics(scores, np.stack([terms, odds], axis=1))
        return Measured(name, architecture, scored, kept, statistics, odds, remarks)


def published_scores(file: Path) -> dict[str, float]:
    """{sentence id: score} of a predictions file of the authors' code. UserError for another."""
    content = json_value(file)
    rows = content.get("intrasentence") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise UserError(f"{file}: has no list intrasentence; expected StereoSet predictions")
    found = {}
    for number, row in enumerate(rows):
        score = row.get("score") if isinstance(row, dict) else None
        if not isinstance(score, int | float) or not isinstance(row.get("id"), str):
            raise UserError(f"{file}, entry {number}: expected an id and a score")
        found[row["id"]] = float(score)
    return found


def _typed(examples: Sequence[BiasExample]) -> list[StereoSetExample]:
    found = [one for one in examples if isinstance(one, StereoSetExample)]
    assert len(found) == len(examples)
    return found


def _example(row: Any, where: str, terms: dict[str, int]) -> StereoSetExample:
    """One entry of the file. UserError, without any of its text, where something is missing."""
    try:
        key, kind, context = str(row["id"]), row["bias_type"], row["context"]
        term, sentences = str(row["target"]), row["sentences"]
        by_label = {one["gold_label"]: one for one in sentences}
        chosen = [by_label[label] for label in LABELS]
        ids = tuple(str(one["id"]) for one in chosen)
        texts = tuple(one["sentence"] for one in chosen)
        whole = [re.fullmatch(ID, one) is not None for one in (key, *ids)]
    except (KeyError, TypeError):
        raise UserError(
            f"{where}: expected id, target, bias_type, context and sentences with the gold labels "
            f"{', '.join(LABELS)}"
        ) from None
    if not all(whole):
        raise UserError(f"{where}: an id has characters other than letters, digits, - and _")
    if kind not in TYPES:
        raise UserError(f"{where}: bias_type is none of {', '.join(TYPES)}")
    if not isinstance(context, str) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{where}: a sentence is not a string")
    places = [n for n, word in enumerate(context.split(" ")) if "BLANK" in word]
    if not places or any(len(text.split(" ")) <= places[-1] for text in texts):
        raise UserError(f"{where}: the context has no BLANK, or a sentence no word in its place")
    filled = tuple(_filled(context, text.split(" ")[places[-1]]) for text in texts)
    if any(one is None for one in filled):
        raise UserError(f"{where}: the word in the place of BLANK is punctuation alone")
    number = terms.setdefault(term, len(terms))
    kept = tuple(one for one in filled if one is not None)
    return StereoSetExample(key, (kind,), texts, number, ids, kept)


def _filled(context: str, word: str) -> Filled | None:
    """The context with a word, without punctuation, in the last gap; None for no word."""
    bare = word.translate(PUNCTUATION)
    left, _, right = context.rpartition("BLANK")
    return Filled(left, bare, right) if bare else None
