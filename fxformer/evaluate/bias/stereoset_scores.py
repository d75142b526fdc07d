"""Scores of StereoSet's sentences, as the published code computes them or by likelihood."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np

from fxformer.data.progress import Slow
from fxformer.evaluate.bias.requests import CHUNK, SentenceScorer
from fxformer.evaluate.bias.sentences import Sentence, SentenceTokenizer
from fxformer.inference.model_core import ModelCore
from fxformer.inference.scoring import causal_requests
from fxformer.inference.text_encoding import with_template
from fxformer.objective.infilling import ScoringRequest


@dataclasses.dataclass(frozen=True, repr=False)
class Filled:
    """A context with a word in its gap: left + word + right."""

    left: str
    word: str
    right: str

    @property
    def text(self) -> str:
        """The whole."""
        return self.left + self.word + self.right


class StereoSetScorer:
    """Scores of the three sentences of examples by one model.

    scoring: see stereoset.StereoSet
    no_space: encode the word without the space before it
    """

    def __init__(self, model: ModelCore, scoring: Literal["authors", "likelihood"], no_space: bool):
        self.model, self.scoring, self.no_space = model, scoring, no_space
        self.scorer, self.encoder = SentenceScorer(model), SentenceTokenizer(model)

    def describe(self) -> str:
        """What is scored, in words."""
        kind = self.model.architecture
        if kind == "seq2seq":
            return "geometric mean over the tokens of the word given the gap"
        if self.scoring == "likelihood":
            return f"geometric mean of {'pseudo-' * (kind == 'encoder')}probabilities of all tokens"
        if kind == "encoder":
            return "mean probability of the word's tokens (as the authors)"
        return "geometric mean of the probabilities of all tokens (as the authors)"

    def scores(
        self, examples: Sequence[tuple[Sequence[str], Sequence[Filled]]]
    ) -> tuple[list[int], np.ndarray, np.ndarray]:
        """(indices of the examples that can be read, their scores [n, 3] in 0 … 1, their log-odds
        of the first word against the second, given the rest [n]).

        examples: the sentences as published, and the contexts with a word in the gap
        """
        kept: list[int] = []
        requests: list[list[ScoringRequest]] = []
        values: list[tuple[float, float]] = []
        with Slow(f"scoring with {self.model.name}", "examples") as work:
            for index, (texts, filled) in enumerate(examples):
                made = self._requests(texts, filled)
                if made is not None:
                    kept.append(index)
                    requests += made
                if len(requests) >= CHUNK:
                    values += self._values(requests)
                    requests = []
                work.advance(1)
        made = np.array(values + self._values(requests), np.float64).reshape(-1, 3, 2)
        return kept, made[..., 0], made[:, 0, 1] - made[:, 1, 1]

    def _values(self, requests: list[list[ScoringRequest]]) -> list[tuple[float, float]]:
        """(score, log p of all scored tokens) of each sentence."""
        arithmetic = self.scoring == "authors" and self.model.architecture == "encoder"
        found = []
        for one in self.scorer.run(requests):
            logs = one.log_probs
            score = np.exp(logs).mean() if arithmetic else np.exp(logs.mean())
            found.append((float(score), one.total))
        return found

    def _requests(
        self, texts: Sequence[str], filled: Sequence[Filled]
    ) -> list[list[ScoringRequest]] | None:
        """The rows of each of the three sentences; None where one cannot be read."""
        kind = self.model.architecture
        if kind == "decoder" or (kind == "encoder" and self.scoring == "likelihood"):
            ids = [self.encoder.ids(text) for text in texts]
            found = [one for one in ids if one is not None]
            sentences = [Sentence(one, ()) for one in found]
        else:
            texts = [one.text for one in filled]
            gaps = [self._gap(one) for one in filled]
            sentences = [one for one in gaps if one is not None]
            found = [one.ids for one in sentences]
        if len(sentences) < len(texts):
            return None
        self.encoder.count(texts, found)
        made = [self._rows(one) for one in sentences]
        return made if all(made) else None

    def _rows(self, sentence: Sentence) -> list[ScoringRequest]:
        kind = self.model.architecture
        if kind == "seq2seq":
            return self.scorer.requests(sentence, "modified")
        if self.scoring == "likelihood":
            return self.scorer.requests(sentence, "all")
        if kind == "encoder":
            return self._word_tokens(sentence)
        return self._without_start(sentence.ids)

    def _without_start(self, ids: np.ndarray) -> list[ScoringRequest]:
        """The first token given the start token, the others without it."""
        start, rest = self.scorer.start, causal_requests(ids)
        if not len(start):
            return rest
        return [ScoringRequest(start, ids[:1], np.array([0])), *rest]

    def _word_tokens(self, sentence: Sentence) -> list[ScoringRequest]:
        """Each token of the word masked, the later ones left out."""
        ((low, high),) = sentence.spans
        ids, mask = sentence.ids, cast(int, self.model.vocabulary.mask)
        rows = []
        for place in range(low, high):
            targets = np.concatenate([ids[: place + 1], ids[high:]]).astype(np.int32)
            tokens = targets.copy()
            tokens[place] = mask
            rows.append(ScoringRequest(tokens, targets, np.array([place])))
        return rows

    def _gap(self, filled: Filled) -> Sentence | None:
        """The context with its word, whose tokens are the one span."""
        target = self._with_word(filled, target=True)
        if target is None or self.model.architecture != "seq2seq":
            return target
        source = self._with_word(filled, target=False)
        if source is None:
            return None
        return Sentence(target.ids, target.spans, source.ids, source.spans)

    def _with_word(self, filled: Filled, target: bool) -> Sentence | None:
        whole = self.encoder.ids(filled.text, target)
        if whole is None:
            return None
        tokenizer = self.encoder.tokenizer
        made = tokenizer.encode_offsets(filled.text)
        start, end = len(filled.left), len(filled.left) + len(filled.word)
        inside = np.flatnonzero((made.start < end) & (made.end > start) & (made.end > made.start))
        if not len(inside):
            return None
        low, high = int(inside[0]), int(inside[-1]) + 1
        word = tokenizer.encode(filled.word) if self.no_space else made.ids[low:high]
        ids = np.concatenate([made.ids[:low], word, made.ids[high:]]).astype(np.int32)
        before = len(tokenizer.prefix)
        ids = with_template(ids, tokenizer)
        return Sentence(ids, ((before + low, before + low + len(word)),))
