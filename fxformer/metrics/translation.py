"""BLEU and chrF by sacrebleu, from its statistics of each sentence, with its signature."""

import abc
import dataclasses
from typing import Any, Literal

import numpy as np

from fxformer.errors import UserError
from fxformer.metrics.base import SumMetric
from fxformer.metrics.inputs import texts
from fxformer.types import Count, Natural, NonNegative


class SacreMetric(SumMetric):
    """A metric of sacrebleu, in percent.

    Predictions are texts as a reader sees them (not tokenized), references a list of texts for each
    example.
    """

    bounds = (0.0, 100.0)
    library = "sacrebleu"

    @abc.abstractmethod
    def scorer(self) -> Any:
        """The metric as an object of sacrebleu."""

    @abc.abstractmethod
    def score(self, sums: list[float]) -> float:
        """The number, from the sums of its statistics."""

    def statistics(self, predictions: Any, references: Any) -> np.ndarray:
        """sacrebleu's counts of each example, and the number of its references: [N, K + 1]."""
        given, wanted = texts(self.name, predictions, references)
        scorer, rows = self.scorer(), []
        for index, (prediction, some) in enumerate(zip(given, wanted, strict=True)):
            if not some:
                raise UserError(f"{self.name}: example {index} has no reference")
            counts = scorer._extract_corpus_statistics([prediction], [[text] for text in some])[0]
            rows.append([*counts, len(some)])
        return np.array(rows, np.float64).reshape(len(given), -1)

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        flat = sums[..., :-1].reshape(-1, sums.shape[-1] - 1)
        scores = [self.score(row) for row in flat.tolist()]
        return {self.name: np.array(scores).reshape(sums.shape[:-1])}

    def signature(self, statistics: np.ndarray | None = None) -> str:
        """sacrebleu's signature behind the name; nrefs:var where it varies or is unknown."""
        counts = np.unique(statistics[:, -1]) if statistics is not None else []
        scorer = self.scorer()
        scorer.num_refs = int(counts[0]) if len(counts) == 1 else -1
        return f"{self.title()}|library:{self.library}|{scorer.get_signature().format()}"

    def title(self) -> str:
        """Name of the variant, as sacrebleu prints it."""
        return self.name


@dataclasses.dataclass(frozen=True)
class Bleu(SacreMetric):
    """BLEU of a corpus: clipped precision of 1- to 4-grams, brevity penalty. Papineni et al. 2002.

    tokenize: tokenizer of sacrebleu; those that download a model are not offered
    smooth_method, smooth_value: smoothing of n-grams without a match; null: sacrebleu's value
    lowercase: compare in lower case
    """

    names = ("bleu",)

    tokenize: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    smooth_method: Literal["exp", "floor", "add-k", "none"] = "exp"
    smooth_value: NonNegative | None = None
    lowercase: bool = False

    def scorer(self) -> Any:
        return sacrebleu().BLEU(
            tokenize=self.tokenize,
            smooth_method=self.smooth_method,
            smooth_value=self.smooth_value,
            lowercase=self.lowercase,
            force=True,
        )

    def score(self, sums: list[float]) -> float:
        return (
            sacrebleu()
            .BLEU.compute_bleu(
                correct=sums[2:6],
                total=sums[6:],
                sys_len=int(sums[0]),
                ref_len=int(sums[1]),
                smooth_method=self.smooth_method,
                smooth_value=self.smooth_value,
            )
            .score
        )


@dataclasses.dataclass(frozen=True)
class Chrf(SacreMetric):
    """chrF: F score of character n-grams (Popović 2015); chrF++ with word_order=2 (2017).

    char_order, word_order: longest n-grams of characters and of words
    beta: weight of recall against precision
    whitespace: keep white space in the n-grams of characters
    lowercase: compare in lower case
    eps_smoothing: smooth as the original script, instead of averaging over the orders that occur
    """

    names = ("chrf",)

    char_order: Count = 6
    word_order: Natural = 0
    beta: Count = 2
    whitespace: bool = False
    lowercase: bool = False
    eps_smoothing: bool = False

    def scorer(self) -> Any:
        return sacrebleu().CHRF(**dataclasses.asdict(self))

    def score(self, sums: list[float]) -> float:
        return self.scorer()._compute_score_from_stats(sums).score

    def title(self) -> str:
        return f"chrF{self.beta}{'+' * self.word_order}"


def sacrebleu() -> Any:
    """The module sacrebleu.metrics. UserError where it is not installed."""
    try:
        import sacrebleu.metrics as found  # type: ignore[reportMissingImports]  # of the extra tasks
    except ImportError:
        raise UserError("BLEU and chrF need sacrebleu: pip install 'fxformer[tasks]'") from None
    return found
