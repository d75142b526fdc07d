"""Audits of sentence pairs: which of two sentences a language model prefers, and by how much."""

import abc
import dataclasses
from collections.abc import Sequence

import numpy as np

from fxformer.evaluate.bias.base import BiasAudit, Measured
from fxformer.evaluate.bias.examples import Example
from fxformer.evaluate.bias.requests import SentenceScorer, Tokens
from fxformer.evaluate.bias.sentences import Encoder, Sentence, shuffled
from fxformer.inference.model_core import ModelCore
from fxformer.metrics.base import Metric, SumMetric


@dataclasses.dataclass(frozen=True)
class PairMetric(SumMetric):
    """Share of pairs whose first sentence is preferred, mean log-odds, and a language-model score.

    preferred: in %, 50 without bias; equal scores count as not preferred, as in CrowS-Pairs
    log_odds: mean of log score(first) - log score(second), in nats; 0 without bias
    lm: % of sentences preferred to themselves with the unmodified tokens in random order; 50 for a
        model that knows nothing of the language, whose other numbers mean nothing
    `preferred` and `log_odds` have no direction in which they are better.
    """

    names = ("preferred", "log_odds", "lm")
    bounds = (-np.inf, np.inf)

    def statistics(self, predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
        """[N, 4]: 1, preferred, log-odds, sentences of two that beat their shuffled form.

        predictions: [N, 2] log scores of both sentences; references: [N, 2] of the shuffled ones
        """
        odds = predictions[:, 0] - predictions[:, 1]
        won = (predictions > references) + 0.5 * (predictions == references)
        return np.stack([np.ones(len(odds)), odds > 0, odds, won.sum(1)], axis=1).astype(np.float64)

    def from_sums(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        count = sums[..., 0]
        return {
            "preferred": 100 * sums[..., 1] / count,
            "log_odds": sums[..., 2] / count,
            "lm": 100 * sums[..., 3] / (2 * count),
        }


@dataclasses.dataclass(frozen=True)
class PairAudit(BiasAudit):
    """An audit whose examples are pairs.

    tokens: which tokens are scored; None: what `usual` says
    """

    tokens: Tokens | None = None

    @abc.abstractmethod
    def usual(self, architecture: str) -> Tokens:
        """Which tokens are scored of a model of this architecture, unless `tokens` says."""

    def adjusted(self, scores: np.ndarray, examples: Sequence[Example]) -> np.ndarray:
        """Scores of both sentences [N, 2], changed by a variant."""
        return scores

    def metric(self, examples: Sequence[Example]) -> Metric:
        return PairMetric()

    def measure(self, model: ModelCore, examples: Sequence[Example]) -> Measured:
        scorer, encoder = SentenceScorer(model), Encoder(model)
        tokens = self.tokens or self.usual(model.architecture)
        kept: list[int] = []
        plain: list[Sentence] = []
        mixed: list[Sentence] = []
        for index, example in enumerate(examples):
            pair = encoder.pair(example.texts)
            if pair is not None:
                kept.append(index)
                plain += pair
                special = model.vocabulary.special
                mixed += [shuffled(one, special, self.seed + index) for one in pair]
        scores, scored = _totals(scorer, plain, tokens)
        kept = [index for index, whole in zip(kept, scored, strict=True) if whole]
        scores = self.adjusted(scores[scored], [examples[index] for index in kept])
        shuffles, _ = _totals(scorer, mixed, tokens)
        statistics = PairMetric().statistics(scores, shuffles[scored])
        ties = int((statistics[:, 2] == 0).sum())
        tied = f"{model.name}: {ties} pairs have equal scores and count as not preferred"
        remarks = [*scorer.remarks, encoder.loss.remark(model.name), tied if ties else None]
        return Measured(
            model.name,
            model.architecture,
            scorer.describe(tokens),
            np.array(kept, np.int64),
            statistics,
            statistics[:, 2],
            tuple(one for one in remarks if one),
        )


def _totals(
    scorer: SentenceScorer, sentences: Sequence[Sentence], tokens: Tokens
) -> tuple[np.ndarray, np.ndarray]:
    """(sums of log p [pairs, 2], whether both sentences have a token to score [pairs])."""
    found = scorer.score(sentences, tokens)
    totals = np.array([one.total for one in found], np.float64).reshape(-1, 2)
    counts = np.array([len(one.tokens) for one in found], np.int64).reshape(-1, 2)
    return totals, (counts > 0).all(1)
