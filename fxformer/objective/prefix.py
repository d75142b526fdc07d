"""Prefix language modelling: continue a prefix that is encoded bidirectionally."""

import dataclasses
from typing import Literal

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.objective.base import Objective, require
from fxformer.objective.causal import CausalLM
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.infilling import InfillExample, ScoringRequest, shifted
from fxformer.objective.pieces import Pieces, laid, pieces_of
from fxformer.objective.shift import answer
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Part


def split_points(pieces: Pieces, draws: CounterRNG) -> np.ndarray:
    """Tokens before the split of each piece: uniform on 1 … n-1 of its n tokens. [P] int64.

    A piece of one token is all prefix.
    """
    return np.minimum(1 + draws.below("split", np.maximum(pieces.lengths - 1, 0)), pieces.lengths)


class PrefixLM(CausalLM):
    """-log p(token | all of the prefix and the tokens before it), for the tokens behind the prefix.

    Liu et al. 2018; Raffel et al. 2020, sec. 3.2.1: one causal stack whose tokens of the prefix
    see each other. The prefix is the beginning of a piece, its length uniform. Relative positions
    of a causal stack know no later keys: T5's buckets give all of those distance 0.
    """

    legal = frozenset({"decoder"})
    carries_memory = False
    scores_text = False  # of a part of the text only

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T+1] -> tokens, segments, targets, weights, prefix [B, T]."""
        batch = super().corrupt(rows)
        pieces = pieces_of(rows, self.vocabulary)
        split = split_points(pieces, pieces.draws(rows.seed, rows.epoch))
        prefix = np.zeros(rows.tokens.shape, bool)
        prefix.reshape(-1)[np.flatnonzero(rows.segments)] = pieces.ranks < split[pieces.piece]
        counts = (batch.weights > 0) & ~prefix[:, 1:]
        return batch.replace(
            targets=np.where(counts, batch.targets, 0).astype(np.int32),
            weights=counts.astype(np.float32),
            prefix=prefix[:, :-1],
        )

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """As a causal LM, the left side read in both directions."""
        (question,) = super().scoring_requests(example)
        return [dataclasses.replace(question, prefix=len(example.left))]


class PrefixSeq2Seq(Objective):
    """-log p(rest | prefix): the encoder reads the beginning of a piece, the decoder writes on.

    Raffel et al. 2020, table 3 (prefix LM). The split is uniform, so either side is half of its
    row on average; packed pieces stay paired.
    """

    legal = frozenset({"seq2seq"})

    def __init__(
        self,
        model: Part,
        *,
        start: Literal["eos", "bos", "pad"] = "pad",
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        require(vocabulary, (start,), "PrefixSeq2Seq")
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.start = start

    def source_length(self, length: int) -> int:
        """As long as the text."""
        return length

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> a batch of [B, T], its source too."""
        height, width = self.accept(rows).tokens.shape
        pieces, pad = pieces_of(rows, self.vocabulary), self.vocabulary.pad
        split = split_points(pieces, pieces.draws(rows.seed, rows.epoch))
        early = pieces.ranks < split[pieces.piece]
        sides = [
            laid(pieces.tokens[side], pieces.piece[side], pieces, height, width, pad)
            for side in (early, ~early)
        ]
        (source, source_segments), (wrote, segments) = sides
        start = getattr(self.vocabulary, self.start)
        tokens, targets, weights = answer(Rows(wrote, segments, segments), start)
        return Batch(tokens, segments, targets, weights, None, source, source_segments)

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """The encoder reads the left side; what comes after the example is not read."""
        tokens = shifted(example.middle, getattr(self.vocabulary, self.start))
        return [
            ScoringRequest(tokens, example.middle, np.arange(len(example.middle)), example.left)
        ]
