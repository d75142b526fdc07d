"""ROUGE-1, -2, -L and -Lsum of summaries, equal to the package rouge-score."""

import collections
import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from fxformer.errors import UserError
from fxformer.metrics.base import SumMetric, ratio
from fxformer.metrics.inputs import texts
from fxformer.metrics.overlap import bag_f1, f1
from fxformer.metrics.porter import stem

TOKEN = re.compile(r"[a-z0-9]+")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")


@dataclasses.dataclass(frozen=True)
class Rouge(SumMetric):
    """Mean F1 of n-grams (ROUGE-1, -2) and longest common subsequences (ROUGE-L, -Lsum). Lin 2004.

    Predictions are texts, references a list of texts for each example, of which the best counts,
    for each kind. Tokens are runs of a-z and 0-9 in lower case: other scripts have none.

    stemmer: Porter stems of tokens longer than three letters
    sentences: what ends a sentence, for ROUGE-Lsum: "newline", as in rouge-score, where a text
        without newlines is one sentence; "punctuation": also white space after . ! ?
    """

    names = ("rougeL", "rouge1", "rouge2", "rougeLsum")

    stemmer: bool = True
    sentences: Literal["newline", "punctuation"] = "newline"

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """F1 of each kind, number of sentences of the references, and 1: [N, 6]."""
        given, wanted = texts(self.name, predictions, references)
        rows = np.ones((len(given), len(self.names) + 2))
        for index, (prediction, some) in enumerate(zip(given, wanted, strict=True)):
            if not some:
                raise UserError(f"{self.name}: example {index} has no reference")
            found = [self._scores(prediction, reference) for reference in some]
            rows[index, :4] = np.max(found, axis=0)
            rows[index, 4] = max(len(self._sentences(reference)) for reference in some)
        return rows

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {name: ratio(sums[..., n], sums[..., -1]) for n, name in enumerate(self.names)}

    def remarks(self, statistics: np.ndarray) -> list[str]:
        if self.sentences == "newline" and statistics[:, 4].max() <= 1:
            return [
                "rougeLsum: no reference has a newline, so each is one sentence, and published "
                "numbers, which split sentences, are higher; set sentences=punctuation"
            ]
        return []

    def _scores(self, prediction: str, reference: str) -> list[float]:
        """F1 of each kind, in the order of `names`."""
        given, wanted = self._tokens(prediction), self._tokens(reference)
        common = lcs_table(wanted, given)[-1][-1]
        sentences = [
            [self._tokens(sentence) for sentence in self._sentences(text)]
            for text in (prediction, reference)
        ]
        return [
            f1(common, len(given), len(wanted)),
            *(ngram_f1(given, wanted, n) for n in (1, 2)),
            summary_f1(*sentences),
        ]

    def _tokens(self, text: str) -> list[str]:
        tokens = TOKEN.findall(text.lower())
        if self.stemmer:
            return [stem(token) if len(token) > 3 else token for token in tokens]
        return tokens

    def _sentences(self, text: str) -> list[str]:
        parts = text.split("\n") if self.sentences == "newline" else SENTENCE_END.split(text)
        return [part for part in parts if part]


def ngram_f1(predicted: Sequence[str], actual: Sequence[str], n: int) -> float:
    """F1 of two bags of n-grams."""
    given, wanted = (
        collections.Counter(zip(*(tokens[start:] for start in range(n)), strict=False))
        for tokens in (predicted, actual)
    )
    return bag_f1(given, wanted)


def lcs_table(left: Sequence[str], right: Sequence[str]) -> list[list[int]]:
    """Lengths of the longest common subsequences of all prefixes, [1 + left][1 + right]."""
    table = [[0] * (len(right) + 1)]
    for one in left:
        above, row = table[-1], [0]
        for column, other in enumerate(right, 1):
            row.append(
                above[column - 1] + 1 if one == other else max(above[column], row[column - 1])
            )
        table.append(row)
    return table


def lcs_positions(left: Sequence[str], right: Sequence[str]) -> set[int]:
    """Positions in `left` of one longest common subsequence: of several, rouge-score's."""
    table, found = lcs_table(left, right), set()
    row, column = len(left), len(right)
    while row and column:
        if left[row - 1] == right[column - 1]:
            row, column = row - 1, column - 1
            found.add(row)
        elif table[row][column - 1] > table[row - 1][column]:
            column -= 1
        else:
            row -= 1
    return found


def summary_f1(predicted: list[list[str]], actual: list[list[str]]) -> float:
    """F1 of the union of common subsequences over sentences, each token counted once.

    Lin 2004, sec. 3.2, with the clipped counts of ROUGE 1.5.5.
    """
    given = collections.Counter(token for sentence in predicted for token in sentence)
    wanted = collections.Counter(token for sentence in actual for token in sentence)
    left, hits = given & wanted, 0
    for sentence in actual:
        union = set().union(*(lcs_positions(sentence, other) for other in predicted))
        for place in sorted(union):
            token = sentence[place]
            if left[token] > 0:
                hits += 1
                left[token] -= 1
    return f1(hits, given.total(), wanted.total())
