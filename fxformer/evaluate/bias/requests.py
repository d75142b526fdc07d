"""Scores of sentences: pseudo-log-likelihood, likelihood, conditional likelihood."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fxformer.data.progress import Slow
from fxformer.errors import UserError
from fxformer.evaluate.bias.sentences import Sentence
from fxformer.inference.model_core import ModelCore
from fxformer.inference.scoring import (
    TokenScores,
    causal_requests,
    collected,
    conditional_requests,
    pseudo_requests,
)
from fxformer.objective.infilling import ScoringRequest, shifted

Tokens = Literal["all", "unmodified", "modified"]
CHUNK = 64  # sentences whose requests are held at once
KINDS = {
    "encoder": "pseudo-log-likelihood",
    "decoder": "log-likelihood",
    "seq2seq": "log-likelihood given the shared words",
}


class SentenceScorer:
    """log p of chosen tokens of sentences, in nats.

    Encoder: each token alone masked, given all others (Salazar et al. 2020).
    Decoder: each token given those before it and the first token (bos, or eos where there is none).
    Encoder-decoder: the source is the sentence with a gap for each modified stretch; the target is
    the sentence where the gap is a mask token (BART), and the modified tokens, each stretch between
    two sentinels that are scored too, where the tokenizer has sentinels (T5).
    Raises UserError where the model cannot be scored.
    """

    def __init__(self, model: ModelCore):
        model.check_head()
        self.model, self.vocabulary = model, model.vocabulary
        self.remarks: list[str] = []
        self.start = np.zeros(0, np.int32)
        kind = model.architecture
        if kind == "encoder" and self.vocabulary.mask is None:
            raise UserError(
                f"{model.name} has no mask token, which a pseudo-log-likelihood needs; audit a "
                "masked language model"
            )
        if kind == "decoder":
            self.start = self._start()
        if kind == "seq2seq":
            self._check_seq2seq()

    def _start(self) -> np.ndarray:
        """What precedes a decoder's first token. [0] or [1] int32."""
        model, ids = self.model, self.vocabulary
        if model.tokenizer is not None and len(model.tokenizer.prefix):
            return np.zeros(0, np.int32)
        if ids.bos is None and ids.eos is None:
            raise UserError(
                f"{model.name} has no bos or eos token, without which the first token of a "
                "sentence has no probability"
            )
        if ids.bos is None:
            self.remarks.append(
                f"{model.name} has no bos token: the first token of a sentence is scored after eos"
            )
        return np.array([ids.eos if ids.bos is None else ids.bos], np.int32)

    def _check_seq2seq(self) -> None:
        model, ids = self.model, self.vocabulary
        if ids.source is not None:
            raise UserError(
                f"{model.name} reads its source with another tokenizer: only an encoder-decoder "
                "that fills gaps can be audited"
            )
        if ids.mask is None and not ids.sentinels:
            raise UserError(
                f"{model.name} has neither a mask token nor sentinels, one of which marks the gap "
                "in the source of an encoder-decoder"
            )

    @property
    def only_modified(self) -> bool:
        """Whether the target holds the modified tokens alone."""
        return self.model.architecture == "seq2seq" and bool(self.vocabulary.sentinels)

    def describe(self, tokens: Tokens) -> str:
        """What is scored, in words."""
        chosen = "modified" if self.only_modified else tokens
        return f"{KINDS[self.model.architecture]} of {chosen} tokens"

    def score(self, sentences: Sequence[Sentence]) -> list[TokenScores]:
        """The scores of all ordinary tokens of each sentence; of T5, of its target's."""
        found: list[TokenScores] = []
        with Slow(f"scoring with {self.model.name}", "sentences") as work:
            for low in range(0, len(sentences), CHUNK):
                requests = [self.requests(one) for one in sentences[low : low + CHUNK]]
                found += self.run(requests)
                work.advance(len(requests))
        return found

    def chosen(self, found: TokenScores, sentence: Sentence, tokens: Tokens) -> np.ndarray:
        """log p of the chosen tokens among the scores of a sentence. [k] float64."""
        if self.only_modified:
            return found.log_probs
        ordinary = ~self.vocabulary.special[sentence.ids]
        return found.log_probs[_chosen(sentence.modified, tokens)[ordinary]]

    def run(self, requests: Sequence[Sequence[ScoringRequest]]) -> list[TokenScores]:
        """The scores of sentences whose requests are given."""
        flat = [one for some in requests for one in some]
        return collected(requests, self.model.log_probs(flat) if flat else [])

    def requests(self, sentence: Sentence, tokens: Tokens = "all") -> list[ScoringRequest]:
        """The rows of model input that score one sentence."""
        ids, special = sentence.ids, self.vocabulary.special
        chosen = ~special[ids] & _chosen(sentence.modified, tokens)
        if self.model.architecture == "encoder":
            mask = self.vocabulary.mask
            assert mask is not None
            return [one for one in pseudo_requests(ids, special, mask) if chosen[one.scored[0]]]
        if self.model.architecture == "decoder":
            rows = causal_requests(np.concatenate([self.start, ids]))
            more = len(self.start) - 1  # targets begin at the token after the first
            return _restricted(rows, np.flatnonzero(chosen) + more)
        if self.only_modified:
            return self._sentinel_target(sentence)
        source = self._with_gaps(sentence, [self.vocabulary.mask] * len(sentence.spans))
        rows = conditional_requests(source, ids, self.model.start_id)
        return _restricted(rows, np.flatnonzero(chosen))

    def _with_gaps(self, sentence: Sentence, marks: Sequence[int | None]) -> np.ndarray:
        """The source with a mark in the place of each span. [s] int32."""
        source = sentence.source
        assert source is not None
        parts, place = [], 0
        for (low, high), mark in zip(sentence.source_spans, marks, strict=False):
            parts += [source[place:low], [mark]]
            place = high
        return np.concatenate([*parts, source[place:]]).astype(np.int32)

    def _sentinel_target(self, sentence: Sentence) -> list[ScoringRequest]:
        """Each span after its sentinel, and a last sentinel (T5); all but the first is scored."""
        spans, marks = sentence.spans, self.vocabulary.sentinels
        if not spans or len(spans) >= len(marks):
            return []
        pairs = zip(marks, spans, strict=False)
        parts = [part for mark, (low, high) in pairs for part in ([mark], sentence.ids[low:high])]
        row = np.concatenate([*parts, [marks[len(spans)]]]).astype(np.int32)
        source, start = self._with_gaps(sentence, marks), self.model.start_id
        return [ScoringRequest(shifted(row, start), row, np.arange(1, len(row)), source)]


def _chosen(modified: np.ndarray, tokens: Tokens) -> np.ndarray:
    """Which tokens are scored. [n] bool."""
    if tokens == "all":
        return np.ones_like(modified)
    return modified if tokens == "modified" else ~modified


def _restricted(rows: list[ScoringRequest], places: np.ndarray) -> list[ScoringRequest]:
    """The one row with only these positions of its targets scored; none where there are none."""
    if not rows:
        return []
    (row,) = rows
    scored = places[places >= row.scored[0]]
    kept = ScoringRequest(row.tokens, row.targets, scored, row.source, row.prefix)
    return [kept] if len(scored) else []
