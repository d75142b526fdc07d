"""Causal language modelling: predict each next token from those before it."""

import numpy as np
from flax import nnx
from jaxtyping import Array

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.nn.memory import CarriedMemory
from fxformer.objective.base import Objective
from fxformer.objective.infilling import InfillExample, ScoringRequest
from fxformer.ops.cross_entropy import CrossEntropy, Sums
from fxformer.types import Part


class CausalLM(Objective):
    """-log p(token | the tokens before it in its piece). Radford et al. 2018, 2019 (GPT).

    A row is one token longer than what the model reads, so every position has a target. The first
    token of a piece is nobody's target: nothing is predicted across the border of two pieces. To
    predict a document's first token, let the tokenizer put a bos token before it.
    """

    legal = frozenset({"decoder"})
    scores_text = True
    carries_memory = True

    def __init__(
        self,
        model: Part,
        *,
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)

    def row_length(self, length: int) -> int:
        """length + 1: the last token is only a target."""
        return length + 1

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T+1] -> tokens, segments, targets, weights [B, T]."""
        self.accept(rows)
        inside = (rows.segments[:, 1:] == rows.segments[:, :-1]) & (rows.segments[:, 1:] > 0)
        counts = inside & scored(rows)[:, 1:]
        targets = np.where(counts, rows.tokens[:, 1:], 0).astype(np.int32)
        tokens, positions = rows.tokens[:, :-1].astype(np.int32), rows.positions
        batch = Batch(tokens, rows.segments[:, :-1], targets, counts.astype(np.float32))
        if positions is None:
            return batch
        return batch.replace(positions=positions[:, :-1].astype(np.int32))

    def with_memory(
        self, batch: Batch, memory: CarriedMemory, *, key: Array | None = None
    ) -> tuple[Sums, CarriedMemory]:
        """As `__call__` of rows that continue those of the memory, and the memory after them."""
        hidden, memory = self.model.with_memory(batch, memory, key=key)
        return self.score(hidden, batch), memory

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """The text up to the end of the example; what comes after it is not read."""
        text = np.concatenate([example.left, example.middle])
        return [
            ScoringRequest(text[:-1], text[1:], np.arange(len(example.left) - 1, len(text) - 1))
        ]


def scored(rows: Rows) -> np.ndarray:
    """Tokens that count as targets: `rows.scored` if the data says it, else all. [B, T] bool."""
    given = rows.scored
    return np.ones(rows.tokens.shape, bool) if given is None else np.asarray(given, bool)
