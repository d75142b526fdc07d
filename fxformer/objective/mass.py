"""MASS: the encoder reads a text with one fragment masked, the decoder generates the fragment."""

import dataclasses
from typing import Literal, cast

import numpy as np
from flax import nnx

from fxformer.batch import Batch, Rows, Vocabulary
from fxformer.objective.base import Objective, require
from fxformer.objective.counter_rng import CounterRNG
from fxformer.objective.infilling import InfillExample, ScoringRequest, shifted
from fxformer.objective.masking.replacement import Replacement
from fxformer.objective.pieces import Pieces, pieces_of
from fxformer.objective.segments import counts_of, numbered, starts_of
from fxformer.objective.shift import answer
from fxformer.ops.cross_entropy import CrossEntropy
from fxformer.types import Count, Part, Proportion


class MaskedSeq2Seq(Objective):
    """-log p(fragment | text without it). Song et al. 2019 (MASS), sec. 3.2.

    One fragment of max(1, round(rate·m)) of the m ordinary tokens of a piece, every place equally
    likely, is masked in the source. The decoder reads the text shifted right, with masks for all
    tokens that the encoder can see, and writes the fragment at its own positions.

    rate: half of a text in the paper
    block: a fragment in every so many ordinary tokens of a piece, each of `rate` of its block (the
        last one may be short); None: one fragment in the whole piece
    replacement: what becomes of the fragment in the source; drawn for each of its tokens
    """

    legal = frozenset({"seq2seq"})
    needs = ("mask",)

    def __init__(
        self,
        model: Part,
        *,
        rate: Proportion = 0.5,
        block: Count | None = None,
        replacement: Replacement = Replacement(),
        start: Literal["eos", "bos", "pad"] = "eos",
        loss: CrossEntropy = CrossEntropy(),
        vocabulary: Vocabulary,
        rngs: nnx.Rngs,
    ):
        require(vocabulary, (start,), "MASS")
        super().__init__(model, loss=loss, vocabulary=vocabulary, rngs=rngs)
        self.rate, self.block = rate, block
        self.replacement, self.start = replacement, start

    def source_length(self, length: int) -> int:
        """As long as the text."""
        return length

    def fragment(self, pieces: Pieces, draws: CounterRNG) -> np.ndarray:
        """Indices of the tokens of the fragments, ascending. [k]."""
        part, rank, number = self.blocks(pieces)
        owner, index = self._owners(pieces)
        size = self.due(number)
        first = draws.at(owner).below("place", number - size + 1, index)
        free = np.flatnonzero(pieces.free)
        return free[(rank >= first[part]) & (rank < (first + size)[part])]

    def blocks(self, pieces: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each ordinary token, the block [m] it is in and its place there [m]; how many ordinary
        tokens each block has [blocks]. int64."""
        piece, rank = numbered(pieces.free_lengths)
        if self.block is None:
            return piece, rank, pieces.free_lengths
        part = starts_of(self._per_piece(pieces))[piece] + rank // self.block
        return part, rank % self.block, counts_of(part, int(self._per_piece(pieces).sum()))

    def _per_piece(self, pieces: Pieces) -> np.ndarray:
        """Blocks of each piece. [P] int64."""
        if self.block is None:
            return np.ones(pieces.count, np.int64)
        return -(-pieces.free_lengths // self.block)

    def _owners(self, pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
        """The piece of each block, and which of its blocks it is."""
        return numbered(self._per_piece(pieces))

    def due(self, number: np.ndarray) -> np.ndarray:
        """Tokens of the fragment of pieces with so many ordinary ones. Halves round up. int64."""
        rounded = np.floor(self.rate * number + 0.5).astype(np.int64)
        return np.minimum(np.maximum(rounded, 1), number)

    def corrupt(self, rows: Rows) -> Batch:
        """rows [B, T] -> a batch of [B, T], targets at the fragments; source [B, T]."""
        pieces = pieces_of(self.accept(rows), self.vocabulary)
        draws = pieces.draws(rows.seed, rows.epoch)
        chosen = self.fragment(pieces, draws)
        place = np.flatnonzero(rows.segments)
        keys, ranks = draws.at(pieces.piece[chosen]), pieces.ranks[chosen]
        source = rows.tokens.astype(np.int32)  # a copy
        source.reshape(-1)[place[chosen]] = self.replacement(
            pieces.tokens[chosen], keys, ranks, self.vocabulary
        )
        hidden = np.zeros(rows.tokens.shape, bool)
        hidden.reshape(-1)[place[chosen]] = True
        mask = cast(int, self.vocabulary.mask)
        shown = np.where(hidden | (rows.segments == 0), rows.tokens, mask)
        start = getattr(self.vocabulary, self.start)
        tokens, _, _ = answer(dataclasses.replace(rows, tokens=shown, scored=None), start)
        _, targets, weights = answer(dataclasses.replace(rows, scored=hidden), start)
        return Batch(tokens, rows.segments, targets, weights, None, source, rows.segments)

    def scoring_requests(self, example: InfillExample) -> list[ScoringRequest]:
        """The example is the fragment: masked in the source, all else masked for the decoder."""
        text, scored = (
            example.text,
            np.arange(len(example.left), len(example.left) + len(example.middle)),
        )
        source, shown = text.copy(), np.full_like(text, self.vocabulary.mask)
        source[scored], shown[scored] = self.vocabulary.mask, example.middle
        tokens = shifted(shown, getattr(self.vocabulary, self.start))
        return [ScoringRequest(tokens, text, scored, source)]
