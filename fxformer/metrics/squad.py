"""SQuAD metrics of question answering: exact match and token F1, with or without "no answer"."""

import collections
import dataclasses
import re
import string
from typing import Any, Literal

import numpy as np

from fxformer.errors import UserError
from fxformer.metrics.base import SumMetric, ratio
from fxformer.metrics.inputs import texts
from fxformer.metrics.overlap import bag_f1

ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII only, as in the official script
KINDS = ("has_answer_", "no_answer_")  # of questions


@dataclasses.dataclass(frozen=True)
class Squad(SumMetric):
    """Exact match and F1 of answers, in percent, as the official scripts of SQuAD 1.1 and 2.0.

    Predictions are texts; references are a list of true answers for each example, of which the
    best counts. Answers are compared in lower case without punctuation and articles. In 2.0 an
    empty list means that there is no answer, and the prediction "" says so.

    squad_version: "1.1": every question has an answer; "2.0": some have none; then has_answer_… and
        no_answer_… are the numbers of either kind, NaN where there is none
    """

    names = ("squad_f1", "squad_exact_match")
    bounds = (0.0, 100.0)

    squad_version: Literal["1.1", "2.0"] = "1.1"

    def __post_init__(self) -> None:
        if self.squad_version == "2.0":
            kinds = [
                f"{kind}_{name}" for kind in ("has_answer", "no_answer") for name in self.names
            ]
            object.__setattr__(self, "names", (*self.names, *kinds))

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """F1, exact match and 1 of questions with an answer, then of those without: [N, 6]."""
        given, wanted = texts(self.name, predictions, references)
        rows = np.zeros((len(given), 6))
        for index, (prediction, answers) in enumerate(zip(given, wanted, strict=True)):
            if self.squad_version == "1.1" and not answers:
                raise UserError(
                    f"{self.name}: example {index} has no answer, which SQuAD 1.1 does not allow; "
                    "use the metric squad_v2"
                )
            found = (self._f1(prediction, answers), self._exact(prediction, answers), 1)
            first = 0 if answers else 3
            rows[index, first : first + 3] = found
        return rows

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        kinds = np.moveaxis(sums.reshape(*sums.shape[:-1], 2, 3), -2, 0)
        found = self._percent(kinds.sum(axis=0), "")
        if self.squad_version == "2.0":
            for kind, part in zip(KINDS, kinds, strict=True):
                found |= self._percent(part, kind)
        return found

    def _percent(self, sums: np.ndarray, kind: str) -> dict[str, np.ndarray]:
        f1, exact, count = np.moveaxis(sums, -1, 0)
        none = np.where(count > 0, 0.0, np.nan)
        return {
            f"{kind}squad_f1": 100 * ratio(f1, count) + none,
            f"{kind}squad_exact_match": 100 * ratio(exact, count) + none,
        }

    def _answers(self, answers: list[str]) -> list[str]:
        if self.squad_version == "1.1":
            return answers
        return [answer for answer in answers if normalize(answer)] or [""]

    def _exact(self, prediction: str, answers: list[str]) -> float:
        given = normalize(prediction)
        return float(any(given == normalize(answer) for answer in self._answers(answers)))

    def _f1(self, prediction: str, answers: list[str]) -> float:
        given = normalize(prediction).split()
        return max(
            token_f1(given, normalize(answer).split(), empty_equal=self.squad_version == "2.0")
            for answer in self._answers(answers)
        )


def normalize(text: str) -> str:
    """Lower case, without ASCII punctuation, articles and superfluous white space."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def token_f1(predicted: list[str], actual: list[str], *, empty_equal: bool) -> float:
    """F1 of two bags of tokens.

    empty_equal: two empty bags score 1 (SQuAD 2.0); else 0 (1.1)
    """
    if not predicted or not actual:
        return float(empty_equal and predicted == actual)
    return bag_f1(collections.Counter(predicted), collections.Counter(actual))
